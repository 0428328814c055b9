"""Token sets on a page: the library of a vocabulary, sets that a person adds, and picking one.

What a person typed is kept in the session as text, and made anew for the vocabulary of whichever model is looked at.
A page draws `editor` once on each run, before it asks for `sets`; all else may be called as often as needed.
"""

import hashlib
from pathlib import PurePosixPath

import streamlit as st

from core import tables
from core.errors import TokenSetError, UnknownNameError
from core.models.language_model import LanguageModel
from core.token_sets import typed
from core.token_sets.parts_of_speech import pos_sets
from core.token_sets.sets import SMALLEST, TokenSet, TokenSets
from core.token_sets.typed import MAX_BYTES, SYNTAX
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import compute
from ui.studies.token_sets import add, add_upload, is_on, made_set, own_texts, pos_key, sets


def choose(model: LanguageModel, label: str, key: str, default: str = "starts_with_space") -> TokenSet:
    """Pick one set, kept in the URL under its name; size, rule and first tokens are shown below.

    A name in the URL that no set has is shown as a warning. Raises TokenSetError where there is no set at all.
    """
    found = sets(model)
    if not len(found):
        raise TokenSetError(
            f"No token set of {model.name} has {SMALLEST} tokens or more, expected at least one such set. "
            "Type one of your own."
        )
    problem = f"_{key}_problem"
    wanted = st.query_params.get(key, st.session_state.get(key))
    if wanted is not None and wanted not in found.names:
        st.session_state[problem] = str(UnknownNameError("token set", wanted, found.names))
        st.session_state.pop(key, None)
    name = st.selectbox(
        label,
        found.names,
        index=found.names.index(default) if default in found.names else 0,
        key=key,
        bind="query-params",
        on_change=lambda: st.session_state.pop(problem, None),
        help="Type to search. The table of all token sets says what each holds.",
    )
    chosen = found.named(name)
    if problem in st.session_state:
        st.warning(plain(f"{st.session_state[problem]} Showing {name}."), icon=":material/link_off:")
    st.caption(plain(describe(chosen, model)))
    return chosen


def describe(item: TokenSet, model: LanguageModel) -> str:
    """Size, group and first tokens of a set, and which of its words are not in it."""
    text = f"{len(item):,} tokens · {item.group} · {item.preview(model.token_strings)}"
    for words, why in ((item.several, "of several tokens, left out"), (item.missing, "not found")):
        if words:
            more = f" and {len(words) - 5} more" if len(words) > 5 else ""
            text += f" · {why}: {', '.join(words[:5])}{more}"
    return text


def library_table(model: LanguageModel) -> None:
    """All sets with size, rule and first tokens; below them those left out, with the reason."""
    found = sets(model)
    table = found.to_frame(model.token_strings)
    kind = "raw vocabulary strings, re.match" if is_on("ts_raw") else "decoded tokens, re.search"
    figure(
        f"All {len(found):,} token sets",
        listing(table, "token-sets", height=560),
        table,
        explains=["token_set", "set_size", "set_rule", "several_token_words", "left_out_because"],
        note=f"{model.name}, {model.d_vocab:,} tokens · {kind} · {len(found.left_out)} sets left out, at the end, "
        f"with the reason (fewer than {SMALLEST} tokens, or all)",
        name="token-sets",
        provenance=tables.provenance(
            dictionary=[],
            model=model,
            method=f"token sets from {kind}",
            settings={"tokenizer_sha256": model.tokenizer_sha256, "sets_sha256": found.sha256},
        ),
    )


def editor(model: LanguageModel) -> None:
    """The switches of the library, and a form to add sets of one's own, with those added so far."""
    with st.expander("Token sets", icon=":material/category:"):
        _switch(
            "As in the original code",
            "ts_raw",
            "Match the regular expressions of Bloom & Lin 2024 against the raw vocabulary strings, where a space is Ġ "
            "and counts as a letter, to reproduce their sets. Off: decoded tokens, right for every vocabulary.",
        )
        _switch("Parts of speech", "ts_pos", "Add sets by NLTK's tagger, where it is installed with its data.")
        if is_on("ts_pos"):
            with errors.shown():
                _tag(model)
        _form(model)
        for name in list(own_texts()):
            _own_row(model, name)


def _form(model: LanguageModel) -> None:
    with st.form("ts_form", border=False):
        name = st.text_input("Name of a set of your own", key="ts_name", max_chars=typed.MAX_NAME)
        text = st.text_area(
            "Tokens, words or /regular expressions/, one a line", key="ts_text", height=120, help=plain(SYNTAX)
        )
        file = st.file_uploader(
            "Or a text file of such lines",
            type=["txt", "csv", "list"],
            key="ts_file",
            help=f"At most {MAX_BYTES:,} bytes.",
        )
        submitted = st.form_submit_button("Add the set")
    if submitted:
        with errors.shown():
            if file is None:
                add(model, name, text)
            else:
                add_upload(model, name or PurePosixPath(file.name).stem, file.getvalue())


def _own_row(model: LanguageModel, name: str) -> None:
    text, remove = st.columns([5, 1], vertical_alignment="center")
    found = made_set(model, name)
    said = str(found) if isinstance(found, TokenSetError) else describe(found, model)
    if isinstance(found, TokenSet) and len(found) < SMALLEST:
        said += f" · fewer than {SMALLEST} tokens: not offered"
    text.caption(plain(f"{name}: {said}"))
    key = f"ts_remove_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    remove.button(
        "Remove", icon=":material/delete:", key=key, on_click=lambda: own_texts().pop(name, None), type="tertiary"
    )


def _tag(model: LanguageModel) -> None:
    """Start the tagger as a job, draw its progress, and say so where it is missing."""

    def work(progress) -> TokenSets:
        return pos_sets(model.token_strings, raw=model.raw_tokens, progress=progress)

    found = compute.transient(pos_key(model), "Parts of speech of all tokens", work)
    if not len(found):
        st.info(plain(f"No parts of speech: {found.left_out[0][1]}."), icon=":material/info:")


def _switch(label: str, key: str, help: str) -> None:
    st.session_state[f"_{key}"] = st.toggle(label, key=key, bind="query-params", help=help)
