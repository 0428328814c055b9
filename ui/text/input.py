"""The text boxes and uploads, how text is read, and the dictionary's activations on it.

Text stays on this machine. Results are stored under hashes, and only short texts are in the link.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core import tables
from core.corpus.samples import bos_token
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.models.pieces import token_pieces
from core.text.features import TextFeatures, encode_text
from core.text.suited import suited
from core.text.texts import MAX_BYTES, OwnText, read_upload, split_documents, tokenise
from core.work.calls import call
from ui.studies import compute
from ui.studies.uploads import uploader

LINK_CHARACTERS = 500
AS_TRAINED, ON, OFF = "As trained", "With BOS", "Without BOS"


@dataclass(frozen=True)
class Reading:
    """How text is read: the length of rows, the BOS token before each row (or none), and the separator of documents."""

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
    """A text as the model and the dictionary read it."""

    dictionary: Dictionary
    model: LanguageModel
    text: OwnText
    features: TextFeatures
    reading: Reading
    key: str
    """The key of the stored activations."""

    @property
    def note(self) -> str:
        """Return n and settings, for the notes under figures."""
        rows = int(self.features.row[-1]) + 1
        tokens = f"{self.features.n_tokens:,} tokens in {rows:,} row{'s' * (rows > 1)}"
        return ", ".join([tokens, self.reading.note, *self.text.unread.parts])

    def pieces(self, part: range | slice) -> list[str]:
        """Return the text that each token of a stretch adds; empty if it completes no character."""
        return token_pieces(self.model.decoder, self.text.ids[part.start : part.stop].tolist())

    def labels(self, tokens: np.ndarray) -> list[str]:
        """Return each of these tokens' text by itself."""
        return [self.model.token_strings[i] for i in self.text.ids[tokens]]

    def provenance(self, method: str, **more: str | int | float | bool | None) -> dict:
        """Return the provenance of a download; of the text it holds only the hash."""
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
            help=f"{trained:,} tokens, or {model.n_ctx:,}. The app cuts longer text into rows. The model reads each "
            "row by itself, so the first tokens of a row know nothing of the row before.",
        )
        bos = st.selectbox(
            "BOS token",
            [AS_TRAINED, ON, OFF],
            key="own_bos",
            bind="query-params",
            help=f"Whether every row begins with the BOS token. This dictionary was trained "
            f"{'with' if dictionary.config.prepend_bos else 'without'} it. Activations on BOS are not shown.",
        )
        separator = st.text_input(
            "Separator of documents",
            "=====",
            max_chars=100,
            key="own_separator",
            persist_state="session",
            help="A line with exactly this text begins a new document. The model reads each document by itself.",
        )
    with_bos = dictionary.config.prepend_bos if bos == AS_TRAINED else bos == ON
    return Reading(lengths[chosen], bos_token(model) if with_bos else None, separator)


def suited_examples(
    model: LanguageModel, examples: Mapping[str, tuple[str, ...]], *, aligned: bool = False
) -> dict[str, tuple[str, ...]]:
    """Return the examples that the model's tokenizer can read, kept in memory (raises LoupeError)."""
    key = f"examples {list(examples)} {aligned} {model.tokenizer_sha256}"
    return compute.loaded().get(key, lambda: suited(model, examples, aligned=aligned), nbytes=0, name="The examples")


def offer(name: str, label: str, default: str, *, height: int = 180) -> tuple[str, ...]:
    """Draw a text box with uploads, named `name` in the session and the link, and return its raw texts."""
    box, last = f"{name}_box", f"_{name}_default"
    if box not in st.session_state:
        st.session_state[box] = st.query_params.get(name, default)
    elif default != st.session_state.get(last, default) == st.session_state[box]:
        st.session_state[box] = default  # nobody typed it: it was the example for another tokenizer
    st.session_state[last] = default
    # Surrounding spaces stay, because they are tokens.
    text = st.text_area(label, key=box, height=height, persist_state="session") or ""
    with st.popover("Files", icon=":material/upload_file:", type="tertiary"):
        files = uploader(
            f"{label}: files in place of the typed text",
            accept_multiple_files=True,
            key=f"{name}_files",
            most_bytes=MAX_BYTES,
            help="Text files in UTF-8. Each file is one document.",
        )
    if files:
        _into_link(name, "", default)
        st.caption(f"The app reads {len(files)} uploaded file{'s' * (len(files) > 1)} in place of the typed text.")
        return tuple(read_upload(file.name, file.getvalue()) for file in files)
    _into_link(name, text, default)
    if len(text) > LINK_CHARACTERS:
        st.caption(
            f"The link leaves this text out: it has {len(text):,} characters, and a link holds "
            f"{LINK_CHARACTERS} at most."
        )
    return (text,)


def _into_link(name: str, text: str, default: str) -> None:
    if text and text != default and len(text) <= LINK_CHARACTERS:
        if st.query_params.get(name) != text:
            st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]


def take(values: dict[str, str]) -> None:
    """Put texts into the boxes; for callbacks."""
    for name, text in values.items():
        st.session_state[f"{name}_box"] = text


def read(dictionary: Dictionary, model: LanguageModel, texts: tuple[str, ...], how: Reading, what: str) -> Read:
    """Tokenise and encode. Results stay in memory under hashes. Raises LoupeError, and StillRunning meanwhile."""
    documents = tuple(part for text in texts for part in split_documents(text, how.separator)) or texts
    digest = hashlib.sha256()
    for document in documents:
        data = document.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode() + data)
    known = f"tokens of {digest.hexdigest()} {model.tokenizer_sha256}"
    text = compute.loaded().get(known, lambda: tokenise(model, documents))
    key = TextFeatures.key(dictionary.sha256, model.sha256, text.sha256, length=how.length, bos=how.bos)
    work = call(encode_text, dictionary, model, text, length=how.length, bos=how.bos)
    return Read(dictionary, model, text, compute.transient(key, f"{what}: tokens and features", work), how, key)
