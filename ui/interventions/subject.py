"""What the page intervenes on: a dictionary, its model, the picked feature, and rows of text.

The text is a prompt of one's own, or the rows in which the feature is strongest. All tabs work on the same rows.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from jaxtyping import Bool, Int

from core import tables
from core.activations.store import counted
from core.corpus.samples import bos_token
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.errors import BadSettingError, CorpusError, DoesNotFitError, LoupeError
from core.feature.contexts import window
from core.feature.examples import strongest_of_rows
from core.models.language_model import LanguageModel
from core.models.pieces import token_pieces
from core.models.search import check_hooks
from core.text.texts import tokenise
from ui.shared.errors import NotReady
from ui.shared.picked_feature import picked_feature
from ui.studies import compute, feature, token_pass
from ui.studies.token_pass import TokenPass
from ui.text import examples, input

STRONGEST, PROMPT = "Strongest contexts", "Your prompt"
MOST_ROWS, AROUND = 8, 20


@dataclass(frozen=True, eq=False)
class Subject:
    """One feature and the rows that its edits run on."""

    dictionary: Dictionary
    model: LanguageModel
    feature: int
    rows: Int[np.ndarray, "row pos"]
    may_change: Bool[np.ndarray, "row pos"]
    """Tokens that edits may touch: not BOS, nor what the token pass leaves out."""
    shown: tuple[range, ...]
    """The positions of each row that are drawn."""
    centres: tuple[int, ...]
    """In each row the position that matters most: the strongest token, or the last one of a prompt."""
    passed: TokenPass | None
    """The dictionary on a larger text: densities, means and largest activations. None: not computed yet."""
    said: str
    """What the rows are, in a few words."""

    @property
    def sha256(self) -> str:
        """Hash of the tokens and of those that may change."""
        return hashlib.sha256(np.stack([self.rows, self.may_change]).astype("<i8").tobytes()).hexdigest()

    @property
    def key(self) -> str:
        """What names results on these rows: dictionary, model, tokens."""
        return f"{self.dictionary.sha256} {self.model.sha256} {self.sha256}"

    @property
    def note(self) -> str:
        """n and settings, for the notes under figures."""
        n = int(self.may_change.sum())
        return f"{self.said}: {n:,} tokens in {len(self.rows)} row{'s' * (len(self.rows) > 1)}"

    def first_row(self) -> "Subject":
        """Return the first row alone, up to its last token that is drawn: later ones change nothing before them."""
        part = (slice(1), slice(self.shown[0].stop))
        kept = {"rows": self.rows[part], "may_change": self.may_change[part], "shown": self.shown[:1]}
        of_several = len(self.rows) > 1
        return replace(self, **kept, centres=self.centres[:1], said=f"{'first of ' * of_several}{self.said}")

    def pieces(self, row: int) -> list[str]:
        """Return the text that each token of a row adds."""
        return token_pieces(self.model.decoder, self.rows[row].tolist())

    def provenance(self, method: str, **more: str | int | float | bool | None) -> dict:
        """Return the provenance of a download; of a prompt it holds only the hash."""
        settings = {"feature": self.feature, "rows_sha256": self.sha256, "text": self.note} | more
        return tables.provenance(dictionary=self.dictionary, model=self.model, method=method, settings=settings)


def check(dictionary: Dictionary, model: LanguageModel) -> None:
    """Raise DoesNotFitError where no edit means anything: no such hook, or no output of its own."""
    check_hooks(dictionary, model)
    check_reconstructs(dictionary.config, dictionary.title)


def chosen(dictionary: Dictionary, model: LanguageModel) -> Subject:
    """Draw the choice of a text and return what it gives. Raises LoupeError, and StillRunning meanwhile."""
    kind = st.segmented_control(
        "Text",
        [STRONGEST, PROMPT],
        default=STRONGEST,
        required=True,
        key="iv_text",
        bind="query-params",
        help=f"{STRONGEST}: the rows of the token pass in which the feature is strongest. {PROMPT}: what you type.",
    )
    return _strongest(dictionary, model) if kind == STRONGEST else _prompt(dictionary, model)


def offered(dictionary: Dictionary, model: LanguageModel) -> Callable[[], Subject]:
    """Draw the choice of a text and return a function that gives what it gives, or raises its error.

    So a tab that needs no text is drawn where the picked feature has none. Raises StillRunning.
    """
    try:
        found = chosen(dictionary, model)
    except LoupeError as error:
        why = error

        def fail() -> Subject:
            raise why

        return fail
    return lambda: found


def _strongest(dictionary: Dictionary, model: LanguageModel) -> Subject:
    passed = token_pass.token_pass()
    feature.suggest_clearest(lambda: passed.statistics)
    n = st.slider("Contexts", 1, MOST_ROWS, 3, key="iv_contexts", bind="query-params", width=320)
    picked = picked_feature()
    return strongest_rows(dictionary, model, passed, picked, n)


def strongest_rows(dictionary: Dictionary, model: LanguageModel, passed: TokenPass, picked: int, n: int) -> Subject:
    """Return the n rows of a token pass in which a feature is strongest. Raises CorpusError where it is silent."""
    best = strongest_of_rows(token_pass.of_feature(passed, picked))
    if not len(best.act):
        raise CorpusError(
            f"Feature {picked} is active on none of the {passed.statistics.n_tokens():,} tokens of this text, so it "
            f"has no contexts. Pick another feature, choose a longer text in the sidebar, or “{PROMPT}” above."
        )
    rows, centres = passed.sample.rows[best.row[:n]].astype(np.int64), best.position[:n].tolist()
    return Subject(
        dictionary,
        model,
        picked,
        rows,
        counted(rows, passed.sample.left_out),
        tuple(range(*window(centre, rows.shape[1], AROUND)) for centre in centres),
        tuple(centres),
        passed,
        f"the strongest contexts of feature {picked} in {passed.sample.note}",
    )


def _prompt(dictionary: Dictionary, model: LanguageModel) -> Subject:
    suited = input.suited_examples(model, {name: (text,) for name, text in examples.ONE.items()})
    texts = input.offer("prompt", "Your prompt", next(iter(suited.values()))[0], height=120)
    text, bos = tokenise(model, texts), bos_token(model) if dictionary.config.prepend_bos else None
    if text.unread.sentence:
        st.warning(text.unread.sentence, icon=":material/warning:")
    ids = text.ids if bos is None else np.concatenate([[bos], text.ids])
    if len(ids) > model.n_ctx:
        raise DoesNotFitError(
            f"The prompt has {len(ids):,} tokens{' with BOS' if bos is not None else ''}, expected at most "
            f"{model.n_ctx:,}, the context of {model.name}. Shorten it."
        )
    if len(ids) < 2:
        raise CorpusError(
            "The prompt has one token, expected at least 2: an edit is seen by what the model says of the next "
            "token. Type more."
        )
    may_change = np.ones((1, len(ids)), bool)
    may_change[0, 0] = bos is None
    try:
        with compute.only_stored():
            passed = token_pass.token_pass()
    except (NotReady, BadSettingError, CorpusError):
        passed = None
    said = f"your prompt{', after BOS' if bos is not None else ''}"
    shown = (range(int(bos is not None), len(ids)),)
    return Subject(
        dictionary,
        model,
        picked_feature(),
        ids[None].astype(np.int64),
        may_change,
        shown,
        (len(ids) - 1,),
        passed,
        said,
    )
