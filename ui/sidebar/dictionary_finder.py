"""Open another dictionary: from the registry of sae-lens, from any hub repository, or from a folder on this machine."""

import streamlit as st

from core.dictionaries.registry.index import RegistryIndex, registry
from core.dictionaries.registry.table import registry_table
from core.dictionaries.sources import sources
from core.dictionaries.sources.folder import SETTINGS, split_settings
from core.errors import LoupeError, NotDownloadedError
from core.hub import cache
from core.installation import started_with
from core.models.search import opens_at_once
from ui.shared import errors, selection
from ui.shared.escape import plain, signs
from ui.sidebar import downloads
from ui.sidebar.downloads import DICTIONARY, NEXT_DICTIONARY, Wanted
from ui.studies import compute, opened

SHOWN = 200
"""The most rows that a search shows; more words make it narrower."""


def take_up() -> None:
    """Pick the dictionary that was just opened or downloaded. Runs before the picker is drawn."""
    if NEXT_DICTIONARY in st.session_state:
        st.session_state["sae"] = st.session_state.pop(NEXT_DICTIONARY)


def button() -> None:
    """Draw the button that opens the dialog, and the progress of a running download."""
    if st.button("Open another dictionary", icon=":material/travel_explore:", width="stretch"):
        dialog()
    downloads.show()


def offer_missing() -> None:
    """Offer to download the missing files of the picked dictionary or its model. The page names all other problems.

    No page waits for seconds of imports only to hear that nothing is missing.
    """
    if downloads.going_on():
        return
    try:
        picked = opened.dictionary()
        if not opens_at_once(picked.config.model_name, compute.workspace()):
            return
        model = opened.model_of(picked)
    except NotDownloadedError as error:
        downloads.offer(error)
    except LoupeError:
        return
    else:
        if not model.whole:
            st.caption(
                plain(
                    f"Only some tensors of {model.name} are on this machine: those that pages without text "
                    "need. Text needs the whole model."
                )
            )
            downloads.buttons(Wanted(downloads.MODEL, model.name), "Download the whole model")


@st.dialog("Open another dictionary", width="large")
def dialog(first: str = "Registry") -> None:
    contents(first)


def contents(first: str = "Registry") -> None:
    """Draw the ways to name a dictionary, each in a tab; `first` is open."""
    ways = {"Registry": _registry, "Hub repository": _hub}
    if compute.workspace().policy.takes_paths:
        ways["Folder"] = _folder
    for tab, way in zip(st.tabs(list(ways), default=first), ways.values(), strict=True):
        with tab, errors.shown():
            way()


@st.cache_resource(show_spinner="Reading the registry")
def _index() -> RegistryIndex:
    return registry()


def _registry() -> None:
    text = st.text_input(
        "Search",
        max_chars=1_024,
        key="_find",
        placeholder="gpt2-small resid_pre, gemma-2-2b 16k transcoder, ...",
        help="A row is shown if its release, id, model, hook, width and repository together contain all words.",
    )
    hits = _index().search(text, limit=SHOWN)
    table = registry_table(hits.items)
    event = st.dataframe(
        table,
        key=f"_found {text}",
        hide_index=True,
        column_config=selection.columns(table),
        on_select="rerun",
        selection_mode="single-row",
        height=280,
    )
    st.caption(plain(f"{hits.total:,} of {len(_index().items):,} dictionaries; {len(table):,} shown."))
    rows = event["selection"]["rows"]
    if rows:
        _chosen(hits.items[rows[0]].id)
    else:
        st.caption("Tick the box at the left of a row to choose it.")


def _hub() -> None:
    repository = st.text_input("Repository", max_chars=200, key="_hub_repository", placeholder="USER/NAME").strip()
    folder = st.text_input(
        "Folder or file", max_chars=500, key="_hub_folder", placeholder="blocks.8.hook_resid_pre"
    ).strip("/ ")
    revision = st.text_input(
        "Revision",
        max_chars=200,
        key="_hub_revision",
        placeholder=cache.MAIN,
        help="A branch, a tag or a commit. Empty: main.",
    ).strip()
    settings = _settings("_hub_settings")
    if repository:
        id = f"hub/{repository}" + (f"/{folder}" if folder else "") + (f"@{revision}" if revision else "") + settings
        sources()["hub"].parse(id.removeprefix("hub/"))
        _chosen(id)


def _folder() -> None:
    path = st.text_input(
        "Path",
        max_chars=1_024,
        key="_folder_path",
        help="A folder or file. It must lie below a folder that the app was started with: "
        f"{started_with('--root FOLDER')}",
    ).strip()
    settings = _settings("_folder_settings")
    inside = sources()["folder"].inside(path, compute.workspace()) if path else []
    if inside:
        chosen = st.selectbox("Dictionary in this folder", inside, format_func=signs, key=f"_folder_inside {path}")
        path = f"{path.rstrip('/')}/{chosen}"
    if path and st.button("Open", key="_open_folder", type="primary"):
        _open(f"folder/{path}{settings}")


def _settings(key: str) -> str:
    """Ask for what the files do not say; return it as an id has it, with the # before it."""
    text = st.text_input(
        "Settings",
        max_chars=1_024,
        key=key,
        placeholder="k=32&hook_name=blocks.8.hook_resid_post",
        help=f"What the files do not say, or say wrongly, as NAME=VALUE with & between. Names: {', '.join(SETTINGS)}.",
    ).strip("#& ")
    split_settings(f"x#{text}")
    return f"#{text}" if text else ""


def _chosen(id: str) -> None:
    """Offer to open a dictionary that is on this machine, and to download one that is not."""
    st.markdown(f"**{plain(id)}**")
    source, _, key = id.partition("/")
    try:
        sources()[source].find(key, compute.workspace())
    except NotDownloadedError:
        downloads.buttons(Wanted(DICTIONARY, id))
        return
    if st.button("Open", key=f"open {id}", type="primary"):
        _open(id)


def _open(id: str) -> None:
    st.session_state[NEXT_DICTIONARY] = id
    st.rerun()
