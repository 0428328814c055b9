"""What the first views of text rest on: a few rows, so that they come at once. The whole sample follows."""

from contextlib import suppress
from dataclasses import replace

import streamlit as st

from core.corpus.samples import LIBRARY, TextSample, context_of, fitting, reading_of, sample_of
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from ui.shared.errors import NotStored
from ui.shared.escape import plain
from ui.shared.later import Later
from ui.studies import compute, corpus, opened, strongest, token_pass
from ui.studies.token_pass import TokenPass

FIRST_TOKENS = 2_048


def growing_pass(*, wpe: str | None = None) -> TokenPass:
    """Return the picked dictionary on the chosen text, or on the first rows of it until the whole pass is there.

    A short pass over the whole starts by itself; a long one when a person presses the button, which is drawn here.
    Raises StillRunning while there is no pass at all, and LoupeError.
    """
    passed = None
    with suppress(NotStored), compute.only_stored():
        passed = token_pass.token_pass(wpe=wpe)
    if passed is not None:
        # Names follow each pass. Above, where nothing may be computed, they did not.
        strongest.follow(passed.store, passed.statistics, passed.hashes, passed.sample.left_out)
        return passed
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary, wpe=wpe)
    first = replace(token_pass.pass_over(dictionary, model, first_rows(dictionary, model), ask=False), whole=False)
    whole = Later(lambda: token_pass.token_pass(wpe=wpe))
    if whole.value is not None:
        return whole.value
    st.caption(plain(f"So far this page rests on {first.statistics.n_tokens():,} tokens; more are to be read."))
    whole.draw()
    return first


def first_rows(dictionary: Dictionary, model: LanguageModel) -> TextSample:
    """Return the first rows of the chosen text, with at most FIRST_TOKENS tokens, or with one row.

    Of the library only some documents are tokenised, which takes about a second.
    """
    asked, config = corpus.settings(), dictionary.config
    few = replace(asked, n_rows=max(1, min(asked.n_rows, FIRST_TOKENS // context_of(config, model, asked))))
    if asked.source != LIBRARY:
        return corpus.sample(dictionary, model, few)
    stream = corpus.some_of_library(model)
    settled = fitting(stream.tokens, config, model, few)
    key = f"first rows {reading_of(model)} {dictionary.sha256} {settled} {stream.title}"
    return compute.loaded().get(
        key, lambda: sample_of(stream.tokens, stream.title, config, model, settled, stream.unread)
    )
