"""Features in the layout of Neuronpedia's bulk import, with the records of its neuronpedia_utils.db_models.

The importer makes a record from the keys of each line; an unknown or a missing key ends the import. For features,
activations and explanations, it takes the keys of a file's first line for all lines.
"""

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.neuronpedia.labels import NeuronpediaSource
from core.neuronpedia.layouts import MOST_LOGITS, ExportedFeature, examples

BOT = "clkht01d40000jv08hvalcvly"
"""The account that exists in every installation of Neuronpedia and is the default owner of imported records."""
_PER_BATCH = 256
_NO_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of all files in the archive, so that equal content makes equal bytes."""


@dataclass(frozen=True)
class BulkSettings:
    """The content of an archive besides its features."""

    source: NeuronpediaSource
    title: str
    """Title of the dictionary."""
    hook_name: str
    model: Mapping[str, Any]
    """The model's config: model_name, n_layers, d_model, d_mlp."""
    text: str
    """Title of the text on which the features were computed."""
    n_rows: int
    """Number of rows of this text."""
    n_pos: int
    """Tokens in a row."""
    creator: str = "SAE Loupe"
    creator_id: str = BOT
    """The owner of the records: an account of the site that imports them."""

    @property
    def model_id(self) -> str:
        return self.source.model_id.lower()

    @property
    def source_id(self) -> str:
        return self.source.source_id.lower()

    @property
    def set_name(self) -> str:
        return self.source_id.partition("-")[2] or self.source_id


def bulk_archive(settings: BulkSettings, features: Sequence[ExportedFeature], token_strings: Sequence[str]) -> bytes:
    """Return a ZIP archive in the layout of Neuronpedia's bulk import.

    `{model}/{source}/` holds model, release, sourceset and source as lines of JSON, and features/, activations/ and
    explanations/ in gzip batches. Equal features give equal bytes.
    """
    root = f"{settings.model_id}/{settings.source_id}"
    files = {f"{root}/{name}.jsonl": _lines([record]) for name, record in _records(settings).items()}
    for number, start in enumerate(range(0, len(features), _PER_BATCH)):
        part = features[start : start + _PER_BATCH]
        batches = {
            "features": [_feature(settings, feature) for feature in part],
            "activations": [line for feature in part for line in _activations(settings, feature, token_strings)],
            "explanations": [line for feature in part for line in _explanations(settings, feature)],
        }
        for name, lines in batches.items():
            if lines:  # the importer needs a first line in every file
                files[f"{root}/{name}/batch-{number}.jsonl.gz"] = gzip.compress(_lines(lines), 6, mtime=0)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), content)
    return target.getvalue()


def _records(settings: BulkSettings) -> dict[str, dict[str, Any]]:
    """Return the records of model, release, source set and source, by the names of their files."""
    name, config = str(settings.model["model_name"]), settings.model
    creator = {"creatorId": settings.creator_id}
    named = creator | {"creatorName": settings.creator, "urls": [], "visibility": "PUBLIC"}
    about = f"{settings.title}, exported by SAE Loupe"
    return {
        "model": creator
        | {
            "id": settings.model_id,
            "displayName": name,
            "displayNameShort": name.rpartition("/")[2],
            "instruct": name.lower().endswith(("-it", "-instruct", "-chat")),
            "layers": int(config.get("n_layers") or 0),
            "neuronsPerLayer": int(config.get("d_mlp") or 0),
            "dimension": int(config["d_model"]) if config.get("d_model") else None,
            "owner": name.rpartition("/")[0] or "unknown",
            "inferenceEnabled": False,
            "visibility": "PUBLIC",
        },
        "release": named | {"name": settings.set_name, "description": about, "descriptionShort": settings.title[:100]},
        "sourceset": named
        | {
            "modelId": settings.model_id,
            "name": settings.set_name,
            "description": about,
            "releaseName": settings.set_name,
        },
        "source": creator
        | {
            "id": settings.source_id,
            "modelId": settings.model_id,
            "setName": settings.set_name,
            "visibility": "PUBLIC",
            "dataset": settings.text,
            "num_prompts": settings.n_rows,
            "num_tokens_in_prompt": settings.n_pos,
        },
    }


def _feature(settings: BulkSettings, feature: ExportedFeature) -> dict[str, Any]:
    texts = feature.texts
    lists = {"pos": feature.promoted[:MOST_LOGITS], "neg": feature.suppressed[:MOST_LOGITS]}
    bars = {"freq": feature.activation_bars, "logits": feature.logit_bars}
    return (
        _place(settings, feature)
        | {
            "creatorId": settings.creator_id,
            "sourceSetName": settings.set_name,
            "hookName": settings.hook_name,
            "frac_nonzero": texts.density,
            "maxActApprox": float(texts.acts.max(initial=0)),
        }
        | {f"{sign}_str": [token for token, _ in pairs] for sign, pairs in lists.items()}
        | {f"{sign}_values": [float(value) for _, value in pairs] for sign, pairs in lists.items()}
        | {f"{name}_hist_data_bar_values": list(bar.values) for name, bar in bars.items()}
        | {f"{name}_hist_data_bar_heights": list(bar.heights) for name, bar in bars.items()}
    )


def _activations(
    settings: BulkSettings, feature: ExportedFeature, token_strings: Sequence[str]
) -> Iterable[dict[str, Any]]:
    head = _place(settings, feature) | {"creatorId": settings.creator_id, "dataSource": settings.text}
    largest = float(feature.texts.acts.max(initial=0))
    for number, item in enumerate(examples(feature.texts, token_strings)):
        place = max(range(len(item["values"])), key=item["values"].__getitem__)
        peak = {"maxValue": item["values"][place], "maxValueTokenIndex": place, "minValue": min(item["values"])}
        # SAEDashboard marks the strongest texts with binMin -1, and binMax is their largest activation.
        line = head | item | peak | {"binMin": -1.0, "binMax": largest, "binContains": -1.0}
        yield line | {"id": _id(number, line)}


def _explanations(settings: BulkSettings, feature: ExportedFeature) -> Iterable[dict[str, Any]]:
    for number, text in enumerate(feature.explanations):
        # No typeName and no explanationModelName: the site has no method for explanations that a person wrote.
        line = _place(settings, feature) | {"description": text, "authorId": settings.creator_id}
        yield line | {"id": _id(number, line)}


def _place(settings: BulkSettings, feature: ExportedFeature) -> dict[str, Any]:
    return {"modelId": settings.model_id, "layer": settings.source_id, "index": str(feature.texts.feature)}


def _id(number: int, line: Mapping[str, Any]) -> str:
    """Name a record by its content, in the form of Neuronpedia's own ids, so that a second import adds nothing."""
    return "c" + hashlib.sha256(f"{number} {json.dumps(line, sort_keys=True)}".encode()).hexdigest()[:24]


def _lines(items: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(
        json.dumps(item, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n" for item in items
    ).encode()
