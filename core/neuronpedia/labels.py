"""Neuronpedia: addresses of features and lists, and the labels others have written for them.

Addresses are made without asking anybody. Labels are fetched on request only: nothing here runs
unless a person asked for a download.
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
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.work.artifacts import artifact_key
from core.work.jobs import SILENT, Progress

SITE = "https://www.neuronpedia.org"
BULK = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com/v1"
MOST_IN_LIST = 150
"""Neuronpedia answers longer quick lists with 404."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TIMEOUT_S = 20
_MOST_BYTES = 64 * 2**20
"""Of one batch, unpacked; Neuronpedia's own hold about a thousand features."""
_MOST_BATCHES = 2000
_LONGEST_LABEL = 500


class NeuronpediaError(LoupeError):
    """Neuronpedia does not have what was asked for, or cannot be reached."""


@dataclass(frozen=True)
class NeuronpediaSource:
    """Where a dictionary's features lie: `gpt2-small/8-res-jb` is model and source."""

    model_id: str
    source_id: str

    @classmethod
    def parse(cls, text: str) -> "NeuronpediaSource":
        """Read an id such as sae-lens' metadata hold. Raises NeuronpediaError.

        The model's part counts, not the model's name elsewhere: those differ for many dictionaries.
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
        """The page of one feature for an iframe, without its controls unless they are asked for."""
        shown = {"embedtest": test, "embedsteer": steer, "embedlink": True}
        return f"{self.feature_url(feature)}?" + urllib.parse.urlencode(
            {"embed": "true"} | {name: str(value).lower() for name, value in shown.items()}
        )

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
    """Where a dictionary says it is on Neuronpedia: sae-lens' registry first, then its own config's metadata.

    None where neither names an id, or none that has the form of one.
    """
    for said in (dictionary.origin.labels.get("neuronpedia"), dictionary.metadata.get("neuronpedia_id")):
        if isinstance(said, str) and said.strip():
            with suppress(NeuronpediaError):
                return NeuronpediaSource.parse(said)
    return None


@dataclass(frozen=True)
class Labels:
    """What features are said to be about, one label a feature, by ascending feature number."""

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
        """The label of a feature, None where it has none."""
        place = int(np.searchsorted(self.feature, feature))
        known = place < len(self.feature) and self.feature[place] == feature
        return self.text[place] if known else None


def labels_address(source: NeuronpediaSource, *, base: str = BULK) -> str:
    """The folder of a source's label files."""
    return f"{base}/{source.model_id}/{source.source_id}/explanations/"


def download_labels(source: NeuronpediaSource, *, progress: Progress = SILENT, base: str = BULK) -> Labels:
    """Fetch all labels of a source from Neuronpedia's bulk files; of several for one feature the first counts.

    Raises NeuronpediaError where there are none, or when they cannot be read. `progress` counts batches.
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
    """Read feature numbers and descriptions from lines of JSON; lines without both are passed over."""
    pairs = []
    for line in batch.decode("utf-8", errors="replace").splitlines():
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            continue
        index, text = (item.get("index"), item.get("description")) if isinstance(item, dict) else (None, None)
        if isinstance(text, str) and text.strip() and str(index).isdecimal() and len(str(index)) < 10:
            label = text.strip()[:_LONGEST_LABEL].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            pairs.append((int(index), label))
    return pairs


def _fetch(url: str) -> bytes | None:
    """Fetch a gzip file and unpack it; None where there is no such file."""
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
