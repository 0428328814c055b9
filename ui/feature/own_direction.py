"""Your own direction in place of a feature: load it from an upload or a path, and go back to the feature."""

import streamlit as st

from core.amounts import of_bytes
from core.dictionaries.dictionary import Dictionary
from core.errors import PathNotAllowedError
from core.feature.own_direction import (
    DENSITY,
    ENDINGS,
    MAX_BYTES,
    DirectionError,
    OwnDirection,
    own_direction,
    read_vectors,
)
from ui.shared import errors
from ui.shared.escape import plain, signs
from ui.studies import compute, corpus, opened
from ui.studies.own_direction import OWN, THRESHOLD, check_width, suggested
from ui.studies.uploads import uploader


def notice(among: Dictionary) -> None:
    """Say that your own direction stands in for a feature, with its threshold and a button to go back.

    Raises StillRunning while the direction runs on text, and LoupeError.
    """
    direction: OwnDirection = st.session_state[OWN]
    with st.container(border=True):
        left, right = st.columns([4, 1])
        title = plain(direction.title)
        left.markdown(f":material/explore: **A direction of your own stands in for a feature:** {title}")
        left.caption("f = x · u if that exceeds the threshold, else 0. u is the direction at length 1.")
        label = f"Back to feature {int(st.session_state.get('feature', 0))}"
        right.button(label, icon=":material/undo:", on_click=_back, key="own_back", width="stretch")
        check_width(direction, among)
        model = opened.model_of(among)
        usual = suggested(direction, among, model, corpus.sample(among, model))
        st.number_input(
            "Threshold",
            min_value=0.0,
            value=usual,
            format="%.4g",
            key=THRESHOLD,
            persist_state="session",
            width=200,
            help=f"Suggested: {usual:.4g}. About {DENSITY:.0%} of the tokens of a few rows exceed it.",
        )


def offer(among: Dictionary) -> None:
    """A popover to load a direction."""
    with st.popover("Use a direction of your own", icon=":material/explore:", type="tertiary"):
        st.caption(
            f"A vector of {among.d_in:,} numbers, or a matrix of such rows, read at {plain(among.config.hook_name)}: "
            "a probe, a difference of means, a row of another dictionary."
        )
        endings = [ending.removeprefix(".") for ending in ENDINGS]
        upload = uploader("File", type=endings, key="own_upload", most_bytes=MAX_BYTES)
        path = st.text_input(
            "or its path", max_chars=1_024, key="own_path", help="Below a folder the app was started with."
        )
        with errors.shown():
            if upload is not None:
                _choose(upload.name, upload.getvalue(), among)
            elif path.strip():
                _choose(*_read(path), among)


def _read(text: str) -> tuple[str, bytes]:
    path = compute.workspace().allowed_path(text)
    if not path.is_file():
        raise PathNotAllowedError(f"{text[:200]!r} is a folder, expected a .npy or .safetensors file. Name the file.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DirectionError(
            f"{path.name[:100]!r} has {of_bytes(size)}, expected at most {of_bytes(MAX_BYTES)}. Save only the "
            "direction, or the rows that are needed."
        )
    return path.name, path.read_bytes()


def _choose(name: str, data: bytes, among: Dictionary) -> None:
    """Pick tensor and row, and offer to take the direction up."""
    vectors = read_vectors(name, data)
    tensor = next(iter(vectors))
    if len(vectors) > 1:
        tensor = st.selectbox("Tensor", list(vectors), key="own_tensor", format_func=lambda key: signs(key[:80]))
    rows, row = vectors[tensor], 0
    if len(rows) > 1:
        row = int(st.number_input("Row", 0, len(rows) - 1, key="own_row"))
    parts = [name[:80], *([tensor[:80]] if tensor else []), *([f"row {row}"] if len(rows) > 1 else [])]
    direction = own_direction(rows, row, d_in=among.d_in, title=", ".join(parts))
    st.button("Use this direction", type="primary", on_click=_take, args=(direction,), key="own_take")


def _take(direction: OwnDirection) -> None:
    st.session_state[OWN] = direction
    st.session_state.pop(THRESHOLD, None)


def _back() -> None:
    st.session_state.pop(OWN, None)
    st.session_state.pop(THRESHOLD, None)
