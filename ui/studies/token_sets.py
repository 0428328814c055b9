"""Token sets for the pages: the library of a vocabulary, and the sets that a person added.

The session keeps a typed set as text and makes it anew for the vocabulary of each model.
"""

import streamlit as st

from core.errors import TokenSetError
from core.models.language_model import LanguageModel
from core.token_sets.sets import SMALLEST, TokenSet, TokenSets, built_in_sets, raw_string_sets
from core.token_sets.typed import set_from_text, set_from_upload
from ui.studies import compute

MAX_OWN = 50
"""The most sets that a person can add."""
_OWN, _MADE = "_own_token_sets", "_made_token_sets"


def sets(model: LanguageModel) -> TokenSets:
    """Return the library's sets for the model's vocabulary and the person's own. Draws nothing."""
    library = _library(model, raw=is_on("ts_raw"))
    if is_on("ts_pos"):
        key = pos_key(model)
        waiting = TokenSets((), (("nltk_pos", "The tagger has not finished yet"),))
        library = library.joined(compute.loaded().get(key, lambda: waiting) if key in compute.loaded() else waiting)
    return library.joined(_own_sets(model, taken=library.names))


def add(model: LanguageModel, name: str, text: str) -> TokenSet:
    """Make a set from text and keep it in the session. Raises TokenSetError."""
    return _keep(model, set_from_text(name, text, model.token_strings, raw=model.raw_tokens), text)


def add_upload(model: LanguageModel, name: str, data: bytes) -> TokenSet:
    """Make a set from an uploaded file and keep it in the session. Raises TokenSetError."""
    made = set_from_upload(name, data, model.token_strings, raw=model.raw_tokens)
    return _keep(model, made, data.decode("utf-8-sig"))


def forget(name: str) -> None:
    """Remove a set that the person added."""
    own_texts().pop(name, None)


def _keep(model: LanguageModel, made: TokenSet, text: str) -> TokenSet:
    """Keep the text of a set. It replaces a set of the same name that the person made before."""
    if made.name in _library(model, raw=is_on("ts_raw")).names:
        raise TokenSetError(
            f"The library already has a token set called {made.name!r}. Expected a new name. Choose another one."
        )
    if made.name not in own_texts() and len(own_texts()) >= MAX_OWN:
        raise TokenSetError(f"You already have {MAX_OWN} sets of your own, the most that fit. Remove one first.")
    own_texts()[made.name] = text
    st.session_state.setdefault(_MADE, {})[_made_key(model, made.name, text)] = made
    return made


def own_texts() -> dict[str, str]:
    """Return the texts of the person's own sets, by name."""
    return st.session_state.setdefault(_OWN, {})


def _own_sets(model: LanguageModel, taken: tuple[str, ...]) -> TokenSets:
    kept, left_out = [], []
    for name in own_texts():
        made = made_set(model, name)
        if isinstance(made, TokenSetError):
            left_out.append((name, str(made)))
        elif name in taken:
            left_out.append((name, "a set of the library has this name"))
        elif len(made) < SMALLEST:
            left_out.append((name, f"{len(made)} token{'s' * (len(made) != 1)}, fewer than {SMALLEST}"))
        else:
            kept.append(made)
    return TokenSets(tuple(kept), tuple(left_out))


def made_set(model: LanguageModel, name: str) -> TokenSet | TokenSetError:
    """Return one of the person's sets for this vocabulary, or why it cannot be made. Both are remembered."""
    made, text = st.session_state.setdefault(_MADE, {}), own_texts()[name]
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


def pos_key(model: LanguageModel) -> str:
    """Return the name under which memory keeps the sets by parts of speech of a vocabulary."""
    return f"token-sets-pos-{model.tokenizer_sha256}-{model.d_vocab}"


def is_on(key: str) -> bool:
    """Return a switch as last drawn, also on a run that has not drawn it yet."""
    return bool(st.session_state.get(key, st.session_state.get(f"_{key}", False)))
