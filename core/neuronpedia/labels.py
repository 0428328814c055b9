"""Neuronpedia: addresses of features and of lists, and the labels that others have written for features.

Addresses are made without a network. Labels are downloaded only if a person starts it.
"""

import gzip
import json
import re
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from core.amounts import of_bytes
from core.characters import whole
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

SITE = "https://www.neuronpedia.org"
BULK = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com/v1"
MOST_IN_LIST = 150
"""Most features of a quick list. Neuronpedia answers longer ones with 404."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TIMEOUT_S = 20
_MOST_BYTES = 64 * 2**20
"""Largest size of a batch, unpacked. A batch of Neuronpedia holds about a thousand features."""
_MOST_BATCHES = 2000
_LONGEST_LABEL = 500


class NeuronpediaError(LoupeError):
    """Neuronpedia does not have a source or its labels, does not accept a request, or cannot be reached."""


@dataclass(frozen=True)
class NeuronpediaSource:
    """The id of a dictionary on Neuronpedia: in `gpt2-small/8-res-jb`, the model and the source."""

    model_id: str
    source_id: str

    @classmethod
    def parse(cls, text: str) -> "NeuronpediaSource":
        """Read an id, such as those in sae-lens' metadata. Raises NeuronpediaError.

        Its model part is Neuronpedia's name of the model, which is often not the model's name elsewhere.
        """
        model_id, _, source_id = text.strip().partition("/")
        if not (_ID.fullmatch(model_id) and _ID.fullmatch(source_id)):
            raise NeuronpediaError(
                f"{text[:200]!r} is no Neuronpedia id. Expected a model and a source with a slash between them, "
                "such as gpt2-small/8-res-jb; copy it from the address of the feature's page."
            )
        return cls(model_id, source_id)

    @property
    def url(self) -> str:
        """The page of all features."""
        return f"{SITE}/{self.model_id}/{self.source_id}"

    def feature_url(self, feature: int) -> str:
        """The page of one feature."""
        return f"{self.url}/{feature}"

    def embed_url(self, feature: int, *, test: bool = False, steer: bool = False) -> str:
        """The page of one feature for an iframe; `test` and `steer` show its controls for these."""
        shown = {"embedtest": test, "embedsteer": steer, "embedlink": True}
        return f"{self.feature_url(feature)}?" + urllib.parse.urlencode(
            {"embed": "true"} | {name: str(value).lower() for name, value in shown.items()}
        )

    def steer_url(self, feature: int) -> str:
        """The page that steers a model by one feature."""
        return f"{SITE}/{self.model_id}/steer?" + urllib.parse.urlencode({"source": self.source_id, "index": feature})

    def list_url(self, name: str, features: Sequence[int]) -> str:
        """A page that shows some features together. Raises NeuronpediaError for none or more than 150."""
        if not 0 < len(features) <= MOST_IN_LIST:
            raise NeuronpediaError(
                f"A quick list of {len(features):,} features cannot be made: Neuronpedia takes 1 to {MOST_IN_LIST}. "
                "Select fewer."
            )
        items = [{"modelId": self.model_id, "layer": self.source_id, "index": str(int(i))} for i in features]
        query = {"name": name[:100], "features": json.dumps(items, separators=(",", ":"))}
        return f"{SITE}/quick-list/?{urllib.parse.urlencode(query)}"


def neuronpedia_source(dictionary: Dictionary) -> NeuronpediaSource | None:
    """Return a dictionary's id on Neuronpedia, from sae-lens' registry, else from the metadata of its own config.

    None if neither holds a valid id.
    """
    for said in (dictionary.origin.labels.get("neuronpedia"), dictionary.metadata.get("neuronpedia_id")):
        if isinstance(said, str) and said.strip():
            with suppress(NeuronpediaError):
                return NeuronpediaSource.parse(said)
    return None


@dataclass(frozen=True)
class Labels:
    """What others say that features are about: one label for each feature, in ascending order of features."""

    feature: Int[np.ndarray, " n"]
    text: tuple[str, ...]
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, source: NeuronpediaSource) -> str:
        return artifact_key("neuronpedia-labels", cls.version, model=source.model_id, source=source.source_id)

    @cached_property
    def nbytes(self) -> int:
        return self.feature.nbytes + sum(map(len, self.text))

    def of(self, feature: int) -> str | None:
        """The label of a feature, or None."""
        place = int(np.searchsorted(self.feature, feature))
        known = place < len(self.feature) and self.feature[place] == feature
        return self.text[place] if known else None


def labels_address(source: NeuronpediaSource, *, base: str = BULK) -> str:
    """The folder of a source's label files."""
    return f"{base}/{source.model_id}/{source.source_id}/explanations/"


def download_labels(source: NeuronpediaSource, *, progress: Progress = SILENT, base: str = BULK) -> Labels:
    """Download all labels of a source from Neuronpedia's bulk files. If a feature has several, the first one counts.

    Raises NeuronpediaError if there are none, or if they cannot be read. `progress` counts batches.
    """
    texts: dict[int, str] = {}
    for number in range(_MOST_BATCHES):
        progress.note(f"{len(texts):,} labels")
        progress.update(number, number + 1)
        batch = _fetch(f"{labels_address(source, base=base)}batch-{number}.jsonl.gz")
        if batch is None:
            break
        for feature, text in _read_labels(batch):
            texts.setdefault(feature, text)
    if not texts:
        raise NeuronpediaError(
            f"Neuronpedia has no labels for {source.model_id}/{source.source_id} in its bulk files. Expected a source "
            f"it lists; look at {source.url}."
        )
    features = sorted(texts)
    return Labels(np.array(features), tuple(texts[i] for i in features))


def _read_labels(batch: bytes) -> list[tuple[int, str]]:
    """Read feature numbers and descriptions from lines of JSON; lines without both are ignored."""
    pairs = []
    for line in batch.decode("utf-8", errors="replace").splitlines():
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            continue
        index, text = (item.get("index"), item.get("description")) if isinstance(item, dict) else (None, None)
        if isinstance(text, str) and text.strip() and str(index).isdecimal() and len(str(index)) < 10:
            label = whole(text.strip()[:_LONGEST_LABEL])
            pairs.append((int(index), label))
    return pairs


def _fetch(url: str) -> bytes | None:
    """Download a gzip file and unpack it; None if there is no such file."""
    request = urllib.request.Request(url, headers={"User-Agent": "sae-loupe"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, gzip.open(answer) as file:
            content = file.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        if error.code in (403, 404):  # S3 answers 403 for a file that is not there
            return None
        raise NeuronpediaError(
            f"Neuronpedia answered {error.code} ({error.reason}) for {url}. Expected its label files; try again later."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise NeuronpediaError(
            f"Neuronpedia's labels could not be read ({type(error).__name__}: {str(error)[:200]}). Expected {url}; "
            "check the connection and try again. Nothing else needs it."
        ) from error
    if len(content) > _MOST_BYTES:
        raise NeuronpediaError(
            f"{url} unpacks to more than {of_bytes(_MOST_BYTES)}, expected a batch of labels. It is not read."
        )
    return content
