"""Draws many points in the browser by WebGL: what the feature map and the charts of whole dictionaries share.

These are Streamlit components of our own. A plane of points is drawn by three of them, because Streamlit sends a
message only if its bytes have changed: `PLANE` has the places, two of `PART` the colours and what is greyed or ringed.
The browser joins the three under the plane's name.
"""

from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).parent


def _text(*names: str) -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


PLANE = st.components.v2.component(
    "loupe_feature_map",
    html=_text("plane.html"),
    css=_text("plane.css", "legend.css"),
    js=_text("messages.js", "scatter.js", "axes.js", "camera.js", "pointer.js", "film.js", "view.js"),
)
PART = st.components.v2.component(
    "loupe_feature_map_part",
    html='<div class="legend" hidden></div>',
    css=_text("legend.css"),
    js=_text("part.js"),
)


def without_webgl(key: str) -> bool:
    """Whether the browser has said that it draws no plane of this name."""
    return bool(st.session_state.get(_name(key)))


def note_webgl(key: str) -> None:
    """Remember what the browser says of WebGL; to be called when the plane's state "webgl" changes."""
    if st.session_state[key].get("webgl") is False:
        st.session_state[_name(key)] = True


def try_webgl_again(key: str) -> None:
    """Forget that the browser drew no plane."""
    st.session_state.pop(_name(key), None)


def _name(key: str) -> str:
    return f"_{key}_without_webgl"
