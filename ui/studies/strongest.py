"""The strongest token of each feature, computed behind the pages once a token pass is there."""

import streamlit as st

from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore
from core.feature.names import StrongestTokens, strongest_tokens
from core.work.jobs import Progress
from ui.shared.errors import NotStored
from ui.studies import compute


@st.cache_resource(show_spinner=False)
def latest() -> dict[str, str]:
    """By dictionary the key of what its latest pass gives. Pages that read no text name features by it."""
    return {}


def follow(
    store: ActivationStore, statistics: ActivationStatistics, hashes: tuple[str, str, str], left_out: tuple[int, ...]
) -> None:
    """Take up a finished pass. What is not stored is computed when nothing is waited for; no page waits for it."""
    key, label = StrongestTokens.key(*hashes, left_out=left_out), "Naming features by their tokens"
    latest()[hashes[0]] = key
    if compute.at_hand(key):
        return
    try:
        compute.check_may_compute(label)
    except NotStored:
        return

    def work(progress: Progress) -> StrongestTokens:
        return compute.store().cached(
            StrongestTokens, key, lambda: strongest_tokens(store, statistics, progress=progress)
        )

    compute.jobs().submit(key, label, work)
