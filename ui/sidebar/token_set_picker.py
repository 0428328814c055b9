"""Token sets on a page: the library of a vocabulary, sets that a person adds, and a picker.

The session keeps a typed set as text and makes it anew for the vocabulary of each model. A page draws `editor` once on
each run, before it asks for `sets`. It may call the other functions any number of times.
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
from ui.studies.uploads import uploader


def choose(model: LanguageModel, label: str, key: str, default: str = "starts_with_space") -> TokenSet:
    """Pick one set. The URL holds its name; size, rule and first tokens are shown below.

    A warning shows a name in the URL that no set has. Raises TokenSetError if there is no set at all.
    """
    known = sets(model)
    if not len(known):
        raise TokenSetError(
            f"No token set of {model.name} has {SMALLEST} tokens or more. Expected at least one. Type a set of your "
            "own."
        )
    problem = f"_{key}_problem"
    wanted = st.query_params.get(key, st.session_state.get(key))
    if wanted is not None and wanted not in known.names:
        st.session_state[problem] = str(UnknownNameError("token set", wanted, known.names))
        st.session_state.pop(key, None)
    name = st.selectbox(
        label,
        known.names,
        index=known.names.index(default) if default in known.names else 0,
        key=key,
        bind="query-params",
        on_change=lambda: st.session_state.pop(problem, None),
        help="Type to search. The tab Token sets of the page Logit weights lists what each set holds.",
    )
    chosen = known.named(name)
    if problem in st.session_state:
        st.warning(plain(f"{st.session_state[problem]} Showing {name}."), icon=":material/link_off:")
    st.caption(plain(describe(chosen, model)))
    return chosen


def describe(item: TokenSet, model: LanguageModel) -> str:
    """Show size, group and first tokens of a set, and the words that gave no token."""
    text = f"{len(item):,} tokens · {item.group} · {item.preview(model.token_strings)}"
    for words, why in ((item.several, "left out, as they have several tokens"), (item.missing, "not found")):
        if words:
            more = f" and {len(words) - 5} more" if len(words) > 5 else ""
            text += f" · {why}: {', '.join(words[:5])}{more}"
    return text


def library_table(model: LanguageModel) -> None:
    """List all sets with size, rule and first tokens, then the sets left out, with the reason."""
    known = sets(model)
    table = known.to_frame(model.token_strings)
    kind = "raw vocabulary strings, re.match" if is_on("ts_raw") else "decoded tokens, re.search"
    figure(
        f"All {len(known):,} token sets",
        listing(table, "token-sets", height=560),
        table,
        explains=["token_set", "set_size", "set_rule", "several_token_words", "left_out_because"],
        note=f"{model.name}, {model.d_vocab:,} tokens · {kind} · the {len(known.left_out)} sets at the end are left "
        f"out (fewer than {SMALLEST} tokens, or all tokens)",
        name="token-sets",
        provenance=tables.provenance(
            dictionary=[],
            model=model,
            method=f"token sets from {kind}",
            settings={"tokenizer_sha256": model.tokenizer_sha256, "sets_sha256": known.sha256},
        ),
    )


def editor(model: LanguageModel) -> None:
    """Draw the switches of the library, a form to add your own sets, and the sets added so far."""
    with st.expander("Token sets", icon=":material/category:"):
        _switch(
            "Match as in the original code",
            "ts_raw",
            "On: match the regular expressions of Bloom & Lin 2024 against raw vocabulary strings, to reproduce their "
            "sets. There a space is Ġ and counts as a letter. Off: match them against decoded tokens, which is right "
            "for every vocabulary.",
        )
        _switch(
            "Parts of speech", "ts_pos", "Add one set for each part of speech. This needs NLTK's tagger and its data."
        )
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
            "Tokens, words or /regular expressions/, one on each line",
            max_chars=1_000_000,
            key="ts_text",
            height=120,
            help=plain(SYNTAX),
        )
        file = uploader(
            "Or a text file of such lines",
            type=["txt", "csv", "list"],
            key="ts_file",
            most_bytes=MAX_BYTES,
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
    made = made_set(model, name)
    said = str(made) if isinstance(made, TokenSetError) else describe(made, model)
    if isinstance(made, TokenSet) and len(made) < SMALLEST:
        said += f" · not offered, as it has fewer than {SMALLEST} tokens"
    text.caption(plain(f"{name}: {said}"))
    key = f"ts_remove_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    remove.button(
        "Remove", icon=":material/delete:", key=key, on_click=lambda: own_texts().pop(name, None), type="tertiary"
    )


def _tag(model: LanguageModel) -> None:
    """Start the tagger as a job and draw its progress. Say so if the tagger is missing."""

    def work(progress) -> TokenSets:
        return pos_sets(model.token_strings, raw=model.raw_tokens, progress=progress)

    tagged = compute.transient(pos_key(model), "Parts of speech of all tokens", work)
    if not len(tagged):
        st.info(plain(f"No parts of speech: {tagged.left_out[0][1]}."), icon=":material/info:")


def _switch(label: str, key: str, help: str) -> None:
    st.session_state[f"_{key}"] = st.toggle(label, key=key, bind="query-params", help=help)
