"""Typing or uploading text, how it is read, and the dictionary's activations on it.

Text stays on this machine: what is computed is kept under hashes, and only short texts are in the link.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core import tables
from core.corpus.samples import bos_token
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.models.pieces import token_pieces
from core.text.features import TextFeatures, encode_text
from core.text.texts import MAX_BYTES, OwnText, read_upload, split_documents, tokenise
from ui.studies import compute

LINK_CHARACTERS = 500
AS_TRAINED, ON, OFF = "As trained", "With BOS", "Without BOS"


@dataclass(frozen=True)
class Reading:
    """How text is read: the length of rows, the BOS token before each (or none), and what parts documents."""

    length: int
    bos: int | None
    separator: str

    @property
    def note(self) -> str:
        return (
            f"rows of up to {self.length:,} tokens, {'each after BOS, not shown' if self.bos is not None else 'no BOS'}"
        )


@dataclass(frozen=True, eq=False)
class Read:
    """A text as model and dictionary read it."""

    dictionary: Dictionary
    model: LanguageModel
    text: OwnText
    found: TextFeatures
    reading: Reading
    key: str
    """What the activations are kept under."""

    @property
    def note(self) -> str:
        """n and settings, for the notes under figures."""
        rows = int(self.found.row[-1]) + 1
        return f"{self.found.n_tokens:,} tokens in {rows:,} row{'s' * (rows > 1)}, {self.reading.note}"

    def pieces(self, part: range | slice) -> list[str]:
        """Return what each token of a stretch adds to the text; empty where it completes no character."""
        return token_pieces(self.model.tokenizer, self.text.ids[part.start : part.stop].tolist())

    def labels(self, tokens: np.ndarray) -> list[str]:
        """Return each of these tokens' text by itself."""
        return [self.model.token_strings[i] for i in self.text.ids[tokens]]

    def provenance(self, method: str, **more: str | int | float | bool | None) -> dict:
        """What a download says of where its numbers are from; of the text only its hash."""
        settings = {"text_sha256": self.text.sha256, "reading": self.note} | more
        return tables.provenance(dictionary=self.dictionary, model=self.model, method=method, settings=settings)


def reading(dictionary: Dictionary, model: LanguageModel) -> Reading:
    """Draw the settings in the sidebar and return what was chosen."""
    trained = min(dictionary.config.context_size or model.n_ctx, model.n_ctx)
    lengths = {"Training context": trained, "Model's context": model.n_ctx}
    with st.sidebar:
        chosen = st.selectbox(
            "Length of rows",
            list(lengths),
            key="own_rows",
            bind="query-params",
            help=f"{trained:,} tokens, or {model.n_ctx:,}. Longer text is cut into rows, and each is read by "
            "itself: its first tokens know nothing of what stands before.",
        )
        bos = st.selectbox(
            "BOS token",
            [AS_TRAINED, ON, OFF],
            key="own_bos",
            bind="query-params",
            help=f"Whether every row begins with the BOS token. This dictionary was trained "
            f"{'with' if dictionary.config.prepend_bos else 'without'} it. Its own activations are not shown.",
        )
        separator = st.text_input(
            "Separator of documents",
            "=====",
            key="own_separator",
            persist_state="session",
            help="A line that holds exactly this begins a new document, which the model reads by itself.",
        )
    with_bos = dictionary.config.prepend_bos if bos == AS_TRAINED else bos == ON
    return Reading(lengths[chosen], bos_token(model) if with_bos else None, separator)


def offer(name: str, label: str, default: str, *, height: int = 180) -> tuple[str, ...]:
    """Draw a text box with uploads, named `name` in the session and the link, and return its raw texts."""
    box = f"{name}_box"
    if box not in st.session_state:
        st.session_state[box] = st.query_params.get(name, default)
    # Surrounding space counts: it is tokens.
    text = st.text_area(label, key=box, height=height, persist_state="session") or ""
    with st.popover("Files", icon=":material/upload_file:", type="tertiary"):
        files = st.file_uploader(
            f"{label}: files in place of what is typed",
            accept_multiple_files=True,
            key=f"{name}_files",
            max_upload_size=MAX_BYTES // 10**6,
            help="Text in UTF-8. Every file is a document of its own.",
        )
    if files:
        _into_link(name, "", default)
        st.caption(f"{len(files)} uploaded file{'s' * (len(files) > 1)} in place of what is typed.")
        return tuple(read_upload(file.name, file.getvalue()) for file in files)
    _into_link(name, text, default)
    if len(text) > LINK_CHARACTERS:
        st.caption(f"{len(text):,} characters: over {LINK_CHARACTERS}, so the text is not in the link.")
    return (text,)


def _into_link(name: str, text: str, default: str) -> None:
    if text and text != default and len(text) <= LINK_CHARACTERS:
        if st.query_params.get(name) != text:
            st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]


def take(values: dict[str, str]) -> None:
    """Put texts into boxes; for callbacks."""
    for name, text in values.items():
        st.session_state[f"{name}_box"] = text


def read(dictionary: Dictionary, model: LanguageModel, texts: tuple[str, ...], how: Reading, what: str) -> Read:
    """Tokenise and encode; kept in memory under hashes. Raises LoupeError, and StillRunning meanwhile."""
    documents = tuple(part for text in texts for part in split_documents(text, how.separator)) or texts
    digest = hashlib.sha256()
    for document in documents:
        data = document.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode() + data)
    known = f"tokens of {digest.hexdigest()} {model.tokenizer_sha256}"
    text = compute.loaded().get(known, lambda: tokenise(model, documents))
    key = TextFeatures.key(dictionary.sha256, model.sha256, text.sha256, length=how.length, bos=how.bos)

    def work(progress) -> TextFeatures:
        return encode_text(dictionary, model, text, length=how.length, bos=how.bos, progress=progress)

    return Read(dictionary, model, text, compute.transient(key, f"{what}: tokens and features", work), how, key)
