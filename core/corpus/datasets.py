"""Text from datasets of the hub: the first documents of a split, fetched when a person asks for them.

The amount of text is limited. The text is stored with the commit it came from, so that it can be read again without a
network.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int, UInt8

from core.corpus.streams import Document, documents_sha256
from core.errors import (
    CorpusError,
    HubAccessError,
    HubError,
    HubNotFoundError,
    HubUnreachableError,
    LoupeError,
    UnknownNameError,
)
from core.hub import client
from core.hub.cache import MAIN, is_repository, is_revision
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

COLUMNS = ("text", "content", "document", "code", "story", "sentence")
"""Usual names of columns that hold text, the most usual first."""
MAX_ROWS = 200_000
BYTES_PER_TOKEN = 4
"""Bytes of English text for each token of a usual vocabulary, for an estimate of what will be fetched."""
PAGE = "https://huggingface.co/datasets/"
"""The address of a dataset's page without the name. A person may paste the whole address."""
EXAMPLE = "Salesforce/wikitext:wikitext-2-raw-v1:train"
SYNTAX = "NAME, NAME:CONFIG, NAME:CONFIG:SPLIT or NAME:CONFIG:SPLIT:COLUMN; a part may be empty; NAME@REVISION"


@dataclass(frozen=True)
class DatasetName:
    """The name of a part of a dataset. An empty field stands for the dataset's own default."""

    repository: str
    config: str = ""
    split: str = ""
    column: str = ""
    revision: str = MAIN

    @classmethod
    def parse(cls, text: str) -> "DatasetName":
        """Read a name that a person typed, see SYNTAX. Raises HubNotFoundError if it cannot be a name."""
        name, *parts = (part.strip() for part in text.strip().removeprefix(PAGE).split(":"))
        repository, _, revision = name.partition("@")
        good = is_repository(repository) and is_revision(revision or MAIN) and len(parts) <= 3
        if not good or not all(part.isprintable() and len(part) <= 200 and part[:1] != "/" for part in parts):
            raise HubNotFoundError(
                f"{text[:200]!r} cannot be a dataset of the hub. Expected {SYNTAX}, as in {EXAMPLE}. Correct the name."
            )
        return cls(repository, *parts, revision=revision or MAIN)

    def __str__(self) -> str:
        name = self.repository if self.revision == MAIN else f"{self.repository}@{self.revision}"
        return ":".join([name, self.config, self.split, self.column]).rstrip(":")


@dataclass(frozen=True)
class DatasetTexts:
    """The first documents of a dataset, as UTF-8 in one array, and their exact origin."""

    text: UInt8[np.ndarray, " byte"]
    ends: Int[np.ndarray, " document"]
    """The end of each document in `text`."""
    repository: str
    """Its present name on the hub, which redirects old names."""
    config: str
    split: str
    column: str
    commit: str
    whole: bool
    """Whether the split ended before the limit."""
    sha256: str
    """Content hash of the documents."""
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, name: DatasetName, *, max_bytes: int) -> str:
        """Name the result by the request, as it must be found without the hub; `commit` says which version came."""
        return artifact_key("dataset-texts", cls.version, **vars(name), max_bytes=max_bytes)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def title(self) -> str:
        """A name of the text for the notes under figures."""
        where = ", ".join(part for part in (self.config, self.split) if part)
        which = f"all {len(self):,}" if self.whole else f"the first {len(self):,}"
        return f"{self.repository} ({where}, {which} documents, revision {self.commit[:7]})"

    def documents(self) -> Iterator[Document]:
        start = 0
        for i, end in enumerate(self.ends.tolist()):
            yield Document(f"{self.repository}#{i}", self.text[start:end].tobytes().decode("utf-8"))
            start = end


def fetch_texts(
    name: DatasetName,
    *,
    max_bytes: int,
    describe: Callable[[str, str], tuple[str, str]] | None = None,
    load: Callable[..., Any] | None = None,
    progress: Progress = SILENT,
) -> DatasetTexts:
    """Ask the hub for a dataset and read its first documents, up to `max_bytes` of text or MAX_ROWS rows.

    The last document is cut at that limit. By default, `describe` is `core.hub.client.describe_dataset` and `load` is
    `datasets.load_dataset`. No code of a dataset is ever run. Raises HubError, CorpusError and UnknownNameError; after
    an error, nothing is kept.
    """
    progress.note("asking the hub")
    repository, commit = (describe or client.describe_dataset)(name.repository, name.revision)
    with _explained(name):
        # The prefix keeps `datasets` from reading a folder of that name on this machine.
        dataset = (load or _load_dataset)(
            f"hf://datasets/{repository}", name=name.config or None, revision=commit, streaming=True
        )
        split, rows = _pick_split(dataset, name)
        progress.note(f"reading {split}")
        column, pieces, whole = _read(rows, name, max_bytes, progress)
    if not pieces:
        raise CorpusError(
            f"{name} holds no text in its split {split!r}{f', column {column!r}' if column else ''}. Expected "
            "documents; choose another split or column."
        )
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    text = np.frombuffer(b"".join(pieces), np.uint8)
    parts = {"config": name.config, "split": split, "column": column, "commit": commit, "whole": whole}
    texts = DatasetTexts(text, ends, repository, **parts, sha256="")
    return DatasetTexts(text, ends, repository, **parts, sha256=documents_sha256(texts.documents()))


def _load_dataset(path: str, **how: Any) -> Any:
    from datasets import load_dataset

    return load_dataset(path, **how)


def _pick_split(dataset: Any, name: DatasetName) -> tuple[str, Iterable[Mapping[str, Any]]]:
    splits = list(dataset)
    split = name.split or ("train" if "train" in splits else next(iter(splits), ""))
    if split not in splits:
        raise UnknownNameError("split", split, splits)
    return split, dataset[split]


def _read(
    rows: Iterable[Mapping[str, Any]], name: DatasetName, max_bytes: int, progress: Progress
) -> tuple[str, list[bytes], bool]:
    """Return the column read, its documents, and whether all rows were read."""
    column, pieces, room = name.column, [], max_bytes
    for i, row in enumerate(rows):
        if i == MAX_ROWS:
            return column, pieces, False
        column = column if i else _pick_column(row, name)
        value = row.get(column)
        # Single surrogates, which are not valid text, become question marks.
        data = value.encode("utf-8", "replace") if isinstance(value, str) else b""
        piece = data[:room].decode("utf-8", "ignore").encode()  # cut at a whole character
        if piece.strip():
            pieces.append(piece)
        room -= len(data)
        progress.update(max_bytes - max(0, room), max_bytes)
        if room <= 0:
            return column, pieces, False
    return column, pieces, True


def _pick_column(row: Mapping[str, Any], name: DatasetName) -> str:
    if name.column and name.column not in row:
        raise UnknownNameError("column", name.column, list(row))
    texts = [column for column, value in row.items() if value is None or isinstance(value, str)]
    usual = [column for column in COLUMNS if column in texts]
    if name.column or usual or len(texts) == 1:
        column = name.column or (usual or texts)[0]
        if column in texts:
            return column
    held = ", ".join(f"{column} ({type(value).__name__})" for column, value in row.items())
    raise CorpusError(
        f"{name} has the columns {held[:500]}. Expected one with text, called {' or '.join(COLUMNS)}, or a single one; "
        "name the column: NAME:CONFIG:SPLIT:COLUMN, where CONFIG and SPLIT may be empty."
    )


@contextmanager
def _explained(name: DatasetName) -> Iterator[None]:
    """Turn errors of `datasets` and of the network into errors that a person can act on."""
    try:
        yield
    except LoupeError:
        raise
    except Exception as error:  # `datasets` calls many libraries, which raise errors of any kind
        said = " ".join(str(error).split())[:300]
        lost = ("ConnectionError", "TimeoutError", "TransportError", "OfflineModeIsEnabled", "ClientError")
        names = {cls.__name__ for cls in type(error).__mro__}
        if names & set(lost):
            raise HubUnreachableError(
                f"The connection for {name} failed ({said}). Expected the hub to answer to the end; check the network "
                "and press Download again. Nothing was kept."
            ) from error
        if "gated" in said.lower() or getattr(getattr(error, "response", None), "status_code", 0) in (401, 403):
            raise HubAccessError(
                f"The hub refuses {name} ({said}). Expected a dataset that this account may read: accept its terms on "
                "its page, and log in with `hf auth login`."
            ) from error
        if isinstance(error, FileNotFoundError):
            raise HubNotFoundError(
                f"{name} has no files of data that can be read ({said}). Expected a dataset of text or tables; check "
                "its page, or name another."
            ) from error
        raise HubError(
            f"{name} cannot be read ({type(error).__name__}: {said}). Expected {SYNTAX}, of a dataset without code of "
            "its own; check its page for configs and splits."
        ) from error
