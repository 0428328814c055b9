"""The causal atlas for the pages: what all features do to the loss, on the first tokens of the token pass's text."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.activations.store import rows_per_block
from core.activations.token_pass import open_store
from core.amounts import of_seconds
from core.corpus.streams import rows_sha256
from core.interventions.atlas import CausalAtlas, causal_atlas, seconds_for_a_row
from core.interventions.first_order import check_causes
from core.work.calls import call, silent_call
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.studies import compute, token_pass
from ui.studies.token_pass import AT_ONCE_S, TokenPass

PARTS = (1, 4, 16, 64)
"""How many blocks of about 16,384 tokens a person can choose."""
KEY = "atlas_rows"


@dataclass(frozen=True, eq=False)
class AtlasStudy:
    """An atlas and the pass whose activations it reads."""

    passed: TokenPass
    atlas: CausalAtlas
    n_rows: int
    """So many of the pass's first rows."""

    @property
    def table(self) -> pd.DataFrame:
        return self.atlas.table()

    @property
    def note(self) -> str:
        """n and settings, for the notes under figures."""
        whole = self.n_rows == len(self.passed.sample.rows)
        return f"{self.atlas.n_tokens:,} tokens, {'all' if whole else 'the first'} of {self.passed.text}"

    def provenance(self, **more: str | int | float | bool | None) -> dict:
        """Return what a download says of where its numbers are from."""
        return self.passed.provenance(method="causal atlas", atlas_rows=self.n_rows, **more)


def sizes(passed: TokenPass) -> list[int]:
    """Return of how many of the pass's rows there can be an atlas: whole blocks, which the pass has stored."""
    n_rows, block = len(passed.sample.rows), rows_per_block(passed.sample.rows.shape[1])
    return [parts * block for parts in PARTS if parts * block < n_rows] + [n_rows]


def rows_of(passed: TokenPass) -> int:
    """Return how many of the pass's rows the atlas reads, as chosen; by default the fewest."""
    chosen = st.session_state.get(KEY)
    return chosen if chosen in sizes(passed) else sizes(passed)[0]


def study(id: str | None = None, *, ask: bool = False) -> AtlasStudy:
    """Return the atlas of a dictionary, by default the picked one.

    With `ask`, one that takes long waits for a button. Raises StillRunning meanwhile, and LoupeError.
    """
    passed = token_pass.token_pass(id)
    n_rows, left_out = rows_of(passed), passed.sample.left_out
    rows = passed.sample.rows[:n_rows]
    check_causes(passed.dictionary, passed.model, rows)
    how = {"left_out": left_out, "device": passed.device}
    key = CausalAtlas.key(*passed.hashes[:2], rows_sha256(rows), **how)
    if ask and not compute.at_hand(key):
        _agree(passed, n_rows, key)
    store = open_store(passed.dictionary, passed.model, rows, compute.store(), **how)
    work = call(causal_atlas, passed.dictionary, passed.model, store, device=passed.device)
    label = f"Causal atlas of {passed.dictionary.title}"
    return AtlasStudy(passed, compute.result(CausalAtlas, key, label, work), n_rows)


def _agree(passed: TokenPass, n_rows: int, key: str) -> None:
    """Show what the atlas takes. Go on if it is short, a person agreed, or it runs already."""
    if st.session_state.get(f"_agreed_{key}") or f"_job_{key}" in st.session_state:
        return
    seconds = _seconds(passed) * n_rows
    if seconds <= AT_ONCE_S:
        return
    n_tokens = n_rows * passed.sample.rows.shape[1]
    st.info(
        plain(
            f"The atlas runs the model forward and back once over {n_tokens:,} tokens: about {of_seconds(seconds)} on "
            "this machine. It is kept afterwards."
        ),
        icon=":material/schedule:",
    )
    st.button(
        "Compute the atlas",
        key=f"run-{key}",
        type="primary",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({f"_agreed_{key}": True}),
    )
    raise StillRunning("The atlas waits for the button.")


def _seconds(passed: TokenPass) -> float:
    """Return the seconds that a row takes, from one run of a few rows."""
    sample = passed.sample
    work = silent_call(
        seconds_for_a_row, passed.dictionary, passed.model, sample.rows, sample.left_out, device=passed.device
    )
    return compute.transient(f"seconds of an atlas row {passed.name}", "Looking at a few tokens", work)
