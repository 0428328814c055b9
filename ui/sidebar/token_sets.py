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
from core.token_sets import typed as typed_token_sets
from core.token_sets.parts_of_speech import pos_sets
from core.token_sets.sets import SMALLEST, TokenSet, TokenSets, built_in_sets, raw_string_sets
from core.token_sets.typed import MAX_BYTES, SYNTAX, set_from_text, set_from_upload
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import compute

MAX_OWN = 50
_OWN, _MADE = "_own_token_sets", "_made_token_sets"


def sets(model: LanguageModel) -> TokenSets:
    """Return the library's sets for the model's vocabulary and the person's own; nothing is drawn."""
    library = _library(model, raw=_is_on("ts_raw"))
    if _is_on("ts_pos"):
        key = _pos_key(model)
        waiting = TokenSets((), (("nltk_pos", "The tagger has not finished yet"),))
        library = library.joined(compute.loaded().get(key, lambda: waiting) if key in compute.loaded() else waiting)
    return library.joined(_own_sets(model, taken=library.names))


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
    kind = "raw vocabulary strings, re.match" if _is_on("ts_raw") else "decoded tokens, re.search"
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
        if _is_on("ts_pos"):
            with errors.shown():
                _tag(model)
        _form(model)
        for name in list(_own()):
            _own_row(model, name)


def _form(model: LanguageModel) -> None:
    with st.form("ts_form", border=False):
        name = st.text_input("Name of a set of your own", key="ts_name", max_chars=typed_token_sets.MAX_NAME)
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


def add(model: LanguageModel, name: str, text: str) -> TokenSet:
    """Make a set from text and keep it in the session. Raises TokenSetError."""
    return _keep(model, set_from_text(name, text, model.token_strings, raw=model.raw_tokens), text)


def add_upload(model: LanguageModel, name: str, data: bytes) -> TokenSet:
    """Make a set from an uploaded file and keep it in the session. Raises TokenSetError."""
    made = set_from_upload(name, data, model.token_strings, raw=model.raw_tokens)
    return _keep(model, made, data.decode("utf-8-sig"))


def _keep(model: LanguageModel, made: TokenSet, text: str) -> TokenSet:
    """Keep a set's text; one of the same name that the person made before is replaced."""
    if made.name in _library(model, raw=_is_on("ts_raw")).names:
        raise TokenSetError(
            f"The library has a token set called {made.name!r}, expected a name of its own. Choose another name."
        )
    if made.name not in _own() and len(_own()) >= MAX_OWN:
        raise TokenSetError(f"There are {MAX_OWN} sets of your own already, as many as fit. Remove one first.")
    _own()[made.name] = text
    st.session_state.setdefault(_MADE, {})[_made_key(model, made.name, text)] = made
    return made


def _own_row(model: LanguageModel, name: str) -> None:
    text, remove = st.columns([5, 1], vertical_alignment="center")
    found = _made(model, name)
    said = str(found) if isinstance(found, TokenSetError) else describe(found, model)
    if isinstance(found, TokenSet) and len(found) < SMALLEST:
        said += f" · fewer than {SMALLEST} tokens: not offered"
    text.caption(plain(f"{name}: {said}"))
    key = f"ts_remove_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    remove.button("Remove", icon=":material/delete:", key=key, on_click=lambda: _own().pop(name, None), type="tertiary")


def _own() -> dict[str, str]:
    """The texts of the person's own sets, by name."""
    return st.session_state.setdefault(_OWN, {})


def _own_sets(model: LanguageModel, taken: tuple[str, ...]) -> TokenSets:
    kept, left_out = [], []
    for name in _own():
        found = _made(model, name)
        if isinstance(found, TokenSetError):
            left_out.append((name, str(found)))
        elif name in taken:
            left_out.append((name, "a set of the library has this name"))
        elif len(found) < SMALLEST:
            left_out.append((name, f"{len(found)} token{'s' * (len(found) != 1)}, fewer than {SMALLEST}"))
        else:
            kept.append(found)
    return TokenSets(tuple(kept), tuple(left_out))


def _made(model: LanguageModel, name: str) -> TokenSet | TokenSetError:
    """Return one of the person's sets for this vocabulary, or why it cannot be made; both are remembered."""
    made, text = st.session_state.setdefault(_MADE, {}), _own()[name]
    key = _made_key(model, name, text)
    if key not in made:
        try:
            made[key] = set_from_text(name, text, model.token_strings, raw=model.raw_tokens)
        except TokenSetError as error:
            made[key] = error
    return made[key]


def _made_key(model: LanguageModel, name: str, text: str) -> tuple[str, int, str, str]:
    return model.tokenizer_sha256, model.d_vocab, name, text


def _library(model: LanguageModel, *, raw: bool) -> TokenSets:
    def make() -> TokenSets:
        with st.spinner("Sorting the vocabulary into sets"):
            return (
                raw_string_sets(model.raw_tokens) if raw else built_in_sets(model.token_strings, raw=model.raw_tokens)
            )

    return compute.loaded().get(f"token sets {model.tokenizer_sha256} {model.d_vocab} {raw}", make)


def _tag(model: LanguageModel) -> None:
    """Start the tagger as a job, draw its progress, and say so where it is missing."""

    def work(progress) -> TokenSets:
        return pos_sets(model.token_strings, raw=model.raw_tokens, progress=progress)

    found = compute.transient(_pos_key(model), "Parts of speech of all tokens", work)
    if not len(found):
        st.info(plain(f"No parts of speech: {found.left_out[0][1]}."), icon=":material/info:")


def _pos_key(model: LanguageModel) -> str:
    return f"token-sets-pos-{model.tokenizer_sha256}-{model.d_vocab}"


def _switch(label: str, key: str, help: str) -> None:
    st.session_state[f"_{key}"] = st.toggle(label, key=key, bind="query-params", help=help)


def _is_on(key: str) -> bool:
    """A switch as last drawn, also on a run that has not drawn it yet."""
    return bool(st.session_state.get(key, st.session_state.get(f"_{key}", False)))
