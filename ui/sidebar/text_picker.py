"""Pick the text of a token pass. The URL holds the choice, and all pages that read text share it.

A typed path goes into the URL only if it lies below a folder that the app was started with, and then relative to it. So
no link tells where folders lie on this machine.
"""

from contextlib import suppress

import streamlit as st

from core.corpus.datasets import EXAMPLE, SYNTAX, DatasetName
from core.corpus.samples import (
    DATASET,
    FILES,
    LIBRARY,
    SampleSettings,
    TextSample,
    context_of,
)
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.installation import started_with
from core.models.language_model import LanguageModel
from ui.shared import errors
from ui.shared.errors import NotReady
from ui.shared.escape import plain
from ui.sidebar import datasets, own_loss
from ui.studies import compute, corpus
from ui.studies.corpus import BOS, DEFAULT, MAX_ROWS, MAX_SEED, NAMES, SIZES, SOURCES


def draw(dictionary: Dictionary, model: LanguageModel) -> None:
    """Draw the picker in the sidebar. It reads and computes nothing that is not stored already."""
    with st.sidebar:
        with st.popover("Text that is read", icon=":material/article:", width="stretch"):
            source = _source()
            _rows(dictionary, model)
        chosen = corpus.settings()
        if source == DATASET and chosen.name:
            with suppress(LoupeError):  # the text field shows the error
                datasets.offer(DatasetName.parse(chosen.name), chosen.megabytes)
        _summary(dictionary, model, chosen)


def _source() -> str:
    said = st.session_state.get("text", st.query_params.get("text"))  # a link may say what no field offers
    closed = () if compute.workspace().policy.takes_paths else (FILES,)
    titles = [title for title, source in SOURCES.items() if source not in closed or title == said]
    source = SOURCES[st.selectbox("Source", titles, key="text", bind="query-params")]
    if source == FILES and FILES not in closed:
        _path()
    elif source == DATASET:
        _dataset()
    _keep_in_url(_sayable(corpus.name_of(source), source))
    return source


def _path() -> None:
    st.session_state.setdefault(NAMES[FILES], st.query_params.get("text_name", ""))
    typed = st.text_input(
        "Path",
        max_chars=1_024,
        key=NAMES[FILES],
        persist_state="session",
        placeholder="texts, notes.txt, tokens.npy",
        help="A text file, a folder of text files (UTF-8), or token ids. Token ids are a .npy or .safetensors file "
        "with one stream (1-D) or with ready rows (2-D). The path must lie below a folder that the app was started "
        f"with: {started_with('--root FOLDER')}",
    )
    if typed:
        with errors.shown():
            compute.workspace().allowed_path(typed)


def _dataset() -> None:
    st.session_state.setdefault(NAMES[DATASET], st.query_params.get("text_name", ""))
    typed = st.text_input(
        "Dataset",
        max_chars=1_024,
        key=NAMES[DATASET],
        persist_state="session",
        placeholder="USER/NAME:CONFIG:SPLIT:COLUMN",
        help=plain(f"{SYNTAX}. For example {EXAMPLE}."),
    )
    if typed:
        with errors.shown():
            compute.workspace().policy.check_repository(DatasetName.parse(typed).repository)
    st.selectbox(
        "Fetch at most",
        list(SIZES),
        index=list(SIZES.values()).index(DEFAULT.megabytes),
        key="text_mb",
        bind="query-params",
        help="The app downloads the first documents of the dataset, up to this much text.",
    )


def _rows(dictionary: Dictionary, model: LanguageModel) -> None:
    left, right = st.columns(2)
    left.number_input(
        "Rows",
        1,
        MAX_ROWS,
        DEFAULT.n_rows,
        key="rows",
        bind="query-params",
        help="A row is one stretch of text that the model reads at once. The app reads this many.",
    )
    longest = f"_length_problem {model.name}"
    if (st.session_state.get("length") or 0) > model.n_ctx:
        # Kept from a dictionary of another model.
        st.session_state[longest] = f"{model.name} reads {model.n_ctx:,} tokens, not {st.session_state['length']:,}."
        st.session_state["length"] = None
    right.number_input(
        "Tokens a row",
        min(2, model.n_ctx),
        model.n_ctx,
        None,
        key="length",
        bind="query-params",
        placeholder=f"{context_of(dictionary.config, model, DEFAULT):,}",
        on_change=lambda: st.session_state.pop(longest, None),
        help=f"Empty: the training context of the dictionary. The model reads up to {model.n_ctx:,}.",
    )
    if longest in st.session_state:
        st.warning(plain(f"{st.session_state[longest]} The app uses the training context."), icon=":material/link_off:")
    trained = "with" if dictionary.config.prepend_bos else "without"
    left.selectbox(
        "BOS",
        list(BOS),
        key="bos",
        bind="query-params",
        help=f"Whether rows begin with BOS, the token that begins a text. The dictionary was trained {trained} it.",
    )
    right.number_input(
        "Seed",
        0,
        MAX_SEED,
        0,
        key="text_seed",
        bind="query-params",
        help="The same seed draws the same rows from the text.",
    )
    st.toggle(
        "Count special tokens",
        value=True,
        key="special",
        bind="query-params",
        help="Off: the model reads BOS, separators and padding, but no statistic counts them.",
    )


def _summary(dictionary: Dictionary, model: LanguageModel, chosen: SampleSettings) -> None:
    """Say what is read: the rows if they are stored, else what was asked for."""
    try:
        sample = _at_hand(dictionary, model)
    except LoupeError:  # pages that read text show the error
        _asked(dictionary, model, chosen)
        return
    if sample is None:
        _asked(dictionary, model, chosen)
        own_loss.expect(lambda: _at_hand(dictionary, model) is not None)
        return
    fewer = "" if len(sample.rows) >= chosen.n_rows else f" The text has no more than {len(sample.rows):,} such rows."
    st.caption(plain(f"{sample.rows.size:,} tokens: {sample.note}.{fewer}"))
    if sample.unread.sentence:
        st.warning(plain(sample.unread.sentence), icon=":material/warning:")
    own_loss.draw(dictionary, model, sample)


def _at_hand(dictionary: Dictionary, model: LanguageModel) -> TextSample | None:
    with suppress(NotReady), compute.only_stored():
        return corpus.sample(dictionary, model)


def _asked(dictionary: Dictionary, model: LanguageModel, chosen: SampleSettings) -> None:
    context = min(context_of(dictionary.config, model, chosen), model.n_ctx)
    st.caption(plain(f"{chosen.n_rows:,} rows of {context:,} tokens of {_title(chosen)}"))


def _title(chosen: SampleSettings) -> str:
    return "the standard library" if chosen.source == LIBRARY else chosen.name or "a text to be named"


def _keep_in_url(name: str) -> None:
    if st.query_params.get("text_name", "") == name:
        return
    if name:
        st.query_params["text_name"] = name
    else:
        del st.query_params["text_name"]


def _sayable(name: str, source: str) -> str:
    """Return what may stand in a link: a dataset's whole name, or a path relative to one of the app's folders."""
    if source != FILES or not name:
        return name
    workspace = compute.workspace()
    with suppress(LoupeError):
        path = workspace.allowed_path(name)
        for root in workspace.roots:
            if path.is_relative_to(root.resolve()):
                short = path.relative_to(root.resolve()).as_posix()
                # Two roots may hold the same name.
                return short if workspace.allowed_path(short) == path else ""
    return ""
