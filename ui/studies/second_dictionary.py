"""The second dictionary, B, and the nearest features of the two from the store."""

from collections.abc import Sequence

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.hooks import WRITES, split_hook
from core.dictionaries.sources import differ_in_seed, entries
from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Between, nearest_between
from core.matching.comparison import SIDES, Comparison, K, Weights, check_matchable, compare_weights
from core.models.names import same_model
from core.work.calls import call
from ui.studies import compute, opened

KEY = "b"
"""The key of the picked id, in session and URL."""


def chosen() -> Dictionary:
    """Open the dictionary picked as B without drawing its picker (raises LoupeError)."""
    return opened.dictionary(st.session_state.get(KEY) or default_second())


def default_second() -> str:
    """Return the next listed dictionary that can be compared with A: at its hook, or else of its model.

    Of several one that differs in the seed alone comes first, then the next in the list, then what says neither model
    nor hook. Without any it is A itself, for which the page shows the control.
    """
    listed = entries(compute.workspace())
    picked = opened.dictionary()
    place = next((i for i, entry in enumerate(listed) if entry.id == picked.id), -1)
    after = [*listed[place + 1 :], *listed[: max(place, 0)]]
    model, hook = picked.config.model_name, picked.config.hook_name
    kin = [entry for entry in after if model and same_model(model, entry.model_name or "")]
    stream = [entry for entry in kin if {split_hook(name or "")[1] for name in (entry.hook_name, hook)} <= {*WRITES}]
    unsaid = [entry for entry in after if entry.model_name is None and entry.hook_name in (hook, None)]
    itself = listed[place] if place >= 0 else None
    ranked = [entry for entry in kin if itself and differ_in_seed(itself, entry)]
    ranked += [*(entry for entry in kin if entry.hook_name == hook), *stream, *unsaid]
    return ranked[0].id if ranked else picked.id


def comparison(a: Dictionary | None = None, b: Dictionary | None = None, *, k: int = K) -> Comparison:
    """Return the k nearest features of the two, both ways, by decoder and encoder; by default of the picked ones.

    Raises what `core.matching.comparison.compare` raises, and StillRunning while a job runs.
    """
    a, b = a or opened.dictionary(), b or chosen()
    check_matchable(a, b)
    names = a.sha256, b.sha256
    return compared(weights(a), weights(b), names, f"Matching {a.title} with {b.title}", k=k)


def compared(
    one: Weights,
    other: Weights,
    names: tuple[str, str],
    label: str,
    *,
    k: int = K,
    sides: Sequence[DictionarySide] = SIDES,
) -> Comparison:
    """Return the same for weights, stored under `names`, by the `sides` alone."""
    most = int(min(one.finite.sum(), other.finite.sum()))
    if not most:
        return compare_weights(one, other, k=k)  # compare() says what is wrong
    found = {side: _between(one.side(side), other.side(side), names, side, min(k, most), label) for side in sides}
    return Comparison(one, other, **found)


def weights(dictionary: Dictionary) -> Weights:
    """Return the directions of a dictionary. They are a copy and stay in memory."""
    key = f"directions {dictionary.sha256}"
    return compute.loaded().get(key, lambda: Weights.of(dictionary), name=f"The directions of {dictionary.title}")


def _between(one, other, names: tuple[str, str], side: DictionarySide, k: int, label: str) -> Between:
    device = compute.device(one.shape[0] * other.size)
    work = call(nearest_between, one, other, k=k, device=device)
    return compute.result(Between, Between.key(*names, side, k), f"{label}, {side}", work)
