"""Features in the two layouts that Neuronpedia reads: its upload call, and its folder for bulk import."""

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.feature.strongest_texts import StrongestTexts
from core.neuronpedia.labels import NeuronpediaError, NeuronpediaSource

MOST_IN_UPLOAD = 128
MOST_LOGITS = 20
MOST_TOKENS = 1024
LONGEST_EXPLANATION = 512
_PER_BATCH = 256
_NO_DATE = (1980, 1, 1, 0, 0, 0)
"""Of files in the archive, so that equal content makes equal bytes."""


@dataclass(frozen=True)
class ExportedFeature:
    """All that goes out about one feature; logit lists are pairs of token text and value, most extreme first."""

    texts: StrongestTexts
    promoted: Sequence[tuple[str, float]]
    suppressed: Sequence[tuple[str, float]]
    explanations: Sequence[str] = ()
    """Written by the person who exports."""


def upload_batch(
    source: NeuronpediaSource, features: Sequence[ExportedFeature], token_strings: Sequence[str]
) -> dict[str, Any]:
    """Return the body of POST /api/feature/upload-batch. Raises NeuronpediaError for what it would refuse.

    That is none or more than 128 features, and a feature without one text on which it is active.
    """
    if not 0 < len(features) <= MOST_IN_UPLOAD:
        raise NeuronpediaError(
            f"{len(features):,} features cannot be uploaded at once: Neuronpedia takes 1 to {MOST_IN_UPLOAD}. "
            "Select fewer."
        )
    silent = [f.texts.feature for f in features if not len(f.texts.rows)]
    if silent:
        raise NeuronpediaError(
            f"Feature {', '.join(map(str, silent[:10]))} is silent on all {features[0].texts.n_tokens:,} tokens; "
            "Neuronpedia expects a text on which each feature is active. Leave it out, or use more text."
        )
    return {
        "modelId": source.model_id.lower(),
        "source": source.source_id.lower(),
        "features": [_uploaded(feature, token_strings) for feature in features],
    }


def _uploaded(feature: ExportedFeature, token_strings: Sequence[str]) -> dict[str, Any]:
    texts = feature.texts
    largest = float(texts.acts.max())
    return {
        "index": texts.feature,
        "density": texts.density,
        "topLogits": [{"token": t, "value": float(v)} for t, v in feature.promoted[:MOST_LOGITS]],
        "bottomLogits": [{"token": t, "value": float(v)} for t, v in feature.suppressed[:MOST_LOGITS]],
        "explanations": [
            {"text": text[:LONGEST_EXPLANATION], "methodName": "written by hand", "modelName": "none"}
            for text in feature.explanations
        ],
        "activations": [
            item | {"quantileMin": 0.0, "quantileMax": largest, "quantileFraction": 1.0}
            for item in _activations(texts, token_strings)
        ],
    }


def _activations(texts: StrongestTexts, token_strings: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "tokens": [token_strings[token] for token in row[:MOST_TOKENS].tolist()],
            "values": np.round(acts[:MOST_TOKENS].astype(np.float64), 6).tolist(),
        }
        for row, acts in zip(texts.rows, texts.acts, strict=True)
    ]


def bulk_archive(
    source: NeuronpediaSource, features: Sequence[ExportedFeature], token_strings: Sequence[str], *, hook_name: str
) -> bytes:
    """Return a ZIP archive in the layout of Neuronpedia's bulk import.

    `{model}/{source}/` holds model, release, sourceset and source as lines of JSON, and features/ and
    activations/ in gzip batches. The same features give the same bytes.
    """
    model_id, source_id = source.model_id.lower(), source.source_id.lower()
    root = f"{model_id}/{source_id}"
    set_name = source_id.partition("-")[2] or source_id
    n_rows = features[0].texts.n_tokens if features else 0
    files = {
        f"{root}/model.jsonl": _lines([{"id": model_id}]),
        f"{root}/release.jsonl": _lines([{"name": set_name}]),
        f"{root}/sourceset.jsonl": _lines([{"modelId": model_id, "name": set_name}]),
        f"{root}/source.jsonl": _lines(
            [{"id": source_id, "modelId": model_id, "setName": set_name, "hookName": hook_name, "num_tokens": n_rows}]
        ),
    }
    for number, start in enumerate(range(0, len(features), _PER_BATCH)):
        part = features[start : start + _PER_BATCH]
        rows = [_feature_line(model_id, source_id, feature) for feature in part]
        acts = [line for feature in part for line in _activation_lines(model_id, source_id, feature, token_strings)]
        files[f"{root}/features/batch-{number}.jsonl.gz"] = gzip.compress(_lines(rows), 6, mtime=0)
        files[f"{root}/activations/batch-{number}.jsonl.gz"] = gzip.compress(_lines(acts), 6, mtime=0)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), content)
    return target.getvalue()


def _feature_line(model_id: str, source_id: str, feature: ExportedFeature) -> dict[str, Any]:
    texts = feature.texts
    return {
        "modelId": model_id,
        "layer": source_id,
        "index": str(texts.feature),
        "frac_nonzero": texts.density,
        "maxActApprox": float(texts.acts.max(initial=0)),
        "pos_str": [token for token, _ in feature.promoted[:MOST_LOGITS]],
        "pos_values": [float(value) for _, value in feature.promoted[:MOST_LOGITS]],
        "neg_str": [token for token, _ in feature.suppressed[:MOST_LOGITS]],
        "neg_values": [float(value) for _, value in feature.suppressed[:MOST_LOGITS]],
    }


def _activation_lines(
    model_id: str, source_id: str, feature: ExportedFeature, token_strings: Sequence[str]
) -> list[dict[str, Any]]:
    head = {"modelId": model_id, "layer": source_id, "index": str(feature.texts.feature)}
    lines = []
    for item in _activations(feature.texts, token_strings):
        place = max(range(len(item["values"])), key=item["values"].__getitem__)
        peak = {"maxValue": item["values"][place], "maxValueTokenIndex": place, "minValue": min(item["values"])}
        # SAEDashboard's mark of the strongest texts.
        lines.append(head | item | peak | {"binMin": -1, "binMax": -1, "binContains": -1})
    return lines


def _lines(items: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(item, ensure_ascii=False, sort_keys=True) + "\n" for item in items).encode()
