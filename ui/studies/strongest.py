"""The strongest token of each feature, computed behind the pages once a token pass is there."""

from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore
from core.feature.names import StrongestTokens, strongest_tokens
from core.work.calls import call
from ui.shared.errors import NotStored
from ui.studies import compute

KIND = "strongest tokens"
"""What `compute.latest` remembers them by."""


def follow(
    store: ActivationStore, statistics: ActivationStatistics, hashes: tuple[str, str, str], left_out: tuple[int, ...]
) -> None:
    """Take up a finished pass. What is not stored is computed when nothing is waited for; no page waits for it."""
    key, label = StrongestTokens.key(*hashes, left_out=left_out), "Naming features by their tokens"
    compute.latest(KIND)[hashes[0]] = key
    if compute.at_hand(key):
        return
    try:
        compute.check_may_compute(label)
    except NotStored:
        return
    work = compute.keeping(StrongestTokens, key, call(strongest_tokens, store, statistics))
    compute.jobs().submit(key, label, work)
