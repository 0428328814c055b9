"""Our files as Neuronpedia receives them: every record and field against its own lists, kept in receiver.toml."""

import gzip
import io
import json
import math
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.feature.strongest_texts import StrongestTexts
from core.neuronpedia.bulk import BOT, BulkSettings, bulk_archive
from core.neuronpedia.labels import NeuronpediaSource
from core.neuronpedia.layouts import NO_TEXT, Bars, ExportedFeature, upload_batch

RECEIVER = tomllib.loads(Path(__file__).with_name("receiver.toml").read_text())
SOURCE = NeuronpediaSource("Mine", "3-Sae")
STRINGS = ["", " a", "\n", "<b>"]
SETTINGS = BulkSettings(
    SOURCE,
    title="my dictionary",
    hook_name="blocks.3.hook_resid_pre",
    model={"model_name": "somebody/Mine-it", "n_layers": 4, "d_model": 8, "d_mlp": 32},
    text="a text",
    n_rows=2,
    n_pos=3,
)


def exported(feature: int, *, n: int = 2, explanations: tuple[str, ...] = ("mine", "also mine")) -> ExportedFeature:
    rows, acts = np.array([[0, 2, 3], [3, 1, 0]])[:n], np.array([[0, 2.5, 0], [1.0, 0, 0]], np.float32)[:n]
    texts = StrongestTexts(feature, rows, acts, count=n, n_tokens=6)
    bars = Bars((0.5, 1.5), (1, 1)) if n else Bars()
    return ExportedFeature(texts, [("", 1.5)], [("<b>", -2.0)], explanations, bars, Bars((-1.0, 1.0), (3, 1)))


def is_text(value) -> bool:
    return isinstance(value, str) and value != ""


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


IS = {
    "text": is_text,
    "texts": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "number": is_number,
    "numbers": lambda value: isinstance(value, list) and all(map(is_number, value)),
    "whole": lambda value: is_number(value) and isinstance(value, int) and value >= 0,
    "bool": lambda value: isinstance(value, bool),
    "visibility": lambda value: value in ("PUBLIC", "UNLISTED", "PRIVATE"),
    "list": lambda value: isinstance(value, list),
}


def received(archive: bytes) -> dict[str, list[dict]]:
    """Every record of an archive, by kind."""
    found: dict[str, list[dict]] = {name: [] for name in RECEIVER["records"]}
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        for path in file.namelist():
            root, _, rest = path.partition("/3-sae/")
            assert root == "mine"
            kind = rest.partition("/")[0].removesuffix(".jsonl")
            data = gzip.decompress(file.read(path)) if path.endswith(".gz") else file.read(path)
            lines = [json.loads(line) for line in data.decode().splitlines()]
            assert all(line.keys() == lines[0].keys() for line in lines)  # the first line names the columns
            found[kind] += lines
    return found


def test_every_record_of_an_archive_has_the_fields_of_its_kind_and_their_types():
    found = received(bulk_archive(SETTINGS, [exported(3), exported(300, n=0, explanations=())], STRINGS))
    assert {kind: len(records) for kind, records in found.items()} == {
        "release": 1,
        "model": 1,
        "sourceset": 1,
        "source": 1,
        "features": 2,
        "activations": 2,
        "explanations": 2,
    }
    for kind, records in found.items():
        required, optional = RECEIVER["records"][kind]["required"], RECEIVER["records"][kind]["optional"]
        for record in records:
            assert required.keys() <= record.keys() <= required.keys() | optional.keys()
            for key, value in record.items():
                if value is not None or key in required:
                    assert IS[(required | optional)[key]](value), (kind, key, value)


def test_every_record_refers_to_records_that_are_in_the_archive_and_ids_are_unique():
    found = received(bulk_archive(SETTINGS, [exported(3), exported(4)], STRINGS))
    names = {"release": "name", "model": "id", "sourceset": "name", "source": "id", "features": "index"}
    known = {kind: {record[name] for record in found[kind]} for kind, name in names.items()}
    for kind, keys in RECEIVER["references"].items():
        for key, other in keys.items():
            assert {record[key] for record in found[kind]} <= known[other], (kind, key)
    for kind in ("activations", "explanations"):
        ids = [record["id"] for record in found[kind]]
        assert len(set(ids)) == len(ids) == 4
        assert all(len(id) == 25 and id.startswith("c") for id in ids)


def test_an_archive_says_what_its_numbers_are_of():
    found = received(bulk_archive(SETTINGS, [exported(3)], STRINGS))
    (feature,), (source,), (model,) = found["features"], found["source"], found["model"]
    assert (source["num_prompts"], source["num_tokens_in_prompt"], source["dataset"]) == (2, 3, "a text")
    assert feature["hookName"] == "blocks.3.hook_resid_pre"
    assert (feature["maxActApprox"], feature["frac_nonzero"]) == (2.5, pytest.approx(1 / 3))
    assert (feature["freq_hist_data_bar_values"], feature["freq_hist_data_bar_heights"]) == ([0.5, 1.5], [1, 1])
    assert (feature["logits_hist_data_bar_values"], feature["logits_hist_data_bar_heights"]) == ([-1.0, 1.0], [3, 1])
    assert [one["description"] for one in found["explanations"]] == ["mine", "also mine"]
    assert (model["layers"], model["neuronsPerLayer"], model["owner"], model["instruct"]) == (4, 32, "somebody", True)
    assert {record[key] for kind in found for record in found[kind] for key in record if key.endswith("orId")} == {BOT}


def check_upload(value, kind: str) -> None:
    fields = RECEIVER["upload"][kind]
    assert value.keys() <= fields.keys(), value.keys() - fields.keys()
    for key, field in fields.items():
        if key not in value and field.get("optional"):
            continue
        given = value[key]
        assert IS[field["type"]](given), (key, given)
        size = len(given) if isinstance(given, list) else given
        assert size <= field.get("most", math.inf) if not isinstance(given, str) else True
        assert size >= field.get("least", field.get("fewest", -math.inf)) if not isinstance(given, str) else True
        if isinstance(given, str):
            assert len(given) <= field.get("longest", math.inf)
        if field["type"] == "texts":
            assert all(given), "an empty text is refused"
        if "of" in field:
            for item in given:
                check_upload(item, field["of"])


def test_an_upload_passes_every_check_of_the_server_and_names_no_method_of_explanation():
    body = upload_batch(SOURCE, [exported(3), exported(4)], STRINGS)
    check_upload(body, "body")
    assert body["modelId"] == body["modelId"].lower()
    assert body["features"][0]["explanations"] == [{"text": "mine"}, {"text": "also mine"}]
    assert body["features"][0]["activations"][0]["tokens"][0] == NO_TEXT
    assert body["features"][0]["topLogits"] == [{"token": NO_TEXT, "value": 1.5}]
    indices = [feature["index"] for feature in body["features"]]
    assert len(set(indices)) == len(indices)
