"""Exported features come back through our own reader, in both layouts."""

import io
import json
import zipfile

import numpy as np
import pytest

from core.dashboards import Histogram, open_dashboards
from core.feature.strongest_texts import StrongestTexts
from core.neuronpedia.bulk import BulkSettings, bulk_archive
from core.neuronpedia.labels import NeuronpediaError, NeuronpediaSource
from core.neuronpedia.layouts import Bars, ExportedFeature, upload_batch

SOURCE = NeuronpediaSource("Mine", "0-Sae")
STRINGS = ["<|endoftext|>", " a", "\n", "<b>"]
SETTINGS = BulkSettings(
    SOURCE,
    title="mine",
    hook_name="blocks.0.hook_resid_pre",
    model={"model_name": "mine", "n_layers": 1, "d_model": 8},
    text="a text",
    n_rows=2,
    n_pos=3,
)


def exported(feature: int = 3, n: int = 2) -> ExportedFeature:
    rows = np.array([[1, 2, 3], [3, 1, 0]])[:n]
    acts = np.array([[0, 2.5, 0], [1.0, 0, 0]], np.float32)[:n]
    texts = StrongestTexts(feature, rows, acts, count=2, n_tokens=6)
    return ExportedFeature(
        texts, [(" a", 1.5)], [("<b>", -2.0)], ["mine"], Bars((0.5, 1.5), (1, 1)), Bars((1.0,), (3,))
    )


def test_an_upload_has_the_fields_that_neuronpedia_documents():
    body = upload_batch(SOURCE, [exported()], STRINGS)
    assert (body["modelId"], body["source"]) == ("mine", "0-sae")  # ids must be lower-case
    (feature,) = body["features"]
    assert (feature["index"], feature["density"]) == (3, pytest.approx(1 / 3))
    assert feature["topLogits"] == [{"token": " a", "value": 1.5}]
    assert feature["bottomLogits"] == [{"token": "<b>", "value": -2.0}]
    assert feature["explanations"][0]["text"] == "mine"
    first = feature["activations"][0]
    assert first["tokens"] == [" a", "\n", "<b>"]
    assert first["values"] == [0, 2.5, 0]
    assert (first["quantileMin"], first["quantileMax"], first["quantileFraction"]) == (0, 2.5, 1)
    json.dumps(body, allow_nan=False)


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ([], "0 features"),
        ([exported()] * 129, "129 features"),
        ([exported(5, 0)], "Feature 5 is silent on all 6 tokens"),
    ],
)
def test_what_neuronpedia_would_refuse_is_refused_here(features, says):
    with pytest.raises(NeuronpediaError, match=says):
        upload_batch(SOURCE, features, STRINGS)


def test_the_bulk_layout_comes_back_through_the_reader_and_is_the_same_each_time(tmp_path):
    features = [exported(3), exported(300, 1)]
    archive = bulk_archive(SETTINGS, features, STRINGS)
    assert archive == bulk_archive(SETTINGS, features, STRINGS)
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    folder = tmp_path / "mine" / "0-sae"
    assert {path.name for path in folder.glob("*.jsonl")} == {
        "model.jsonl",
        "release.jsonl",
        "sourceset.jsonl",
        "source.jsonl",
    }
    (found,) = open_dashboards(folder)
    assert found.features == [3, 300]
    feature = found.read(3)
    assert feature.promoted == ((" a", 1.5),)
    assert feature.max_activation == 2.5
    assert [one.values for one in feature.examples] == [(0.0, 2.5, 0.0), (1.0, 0.0, 0.0)]
    assert {one.group for one in feature.examples} == {"Top activations"}
    assert feature.labels == ("mine",)
    assert (feature.activations, feature.logits) == (Histogram((0.5, 1.5), (1.0, 1.0)), Histogram((1.0,), (3.0,)))
