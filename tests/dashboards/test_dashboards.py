"""Dashboards of other tools, written here in their own fields, read back; and broken ones."""

import gc
import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from core.dashboards import BadDashboardError, Example, Histogram, neuronpedia_files, open_dashboards
from core.dashboards.fields import lines
from core.errors import LoupeError, OutOfRangeError

TOKENS = ["<script>", "\n", " the", "€"]
COMMON = {
    "pos_str": [" Monday", " Friday"],
    "pos_values": [2.5, 2.0],
    "neg_str": ["!"],
    "neg_values": [-1.5],
    "frac_nonzero": 0.01,
    "freq_hist_data_bar_values": [0.5, 1.5],
    "freq_hist_data_bar_heights": [10, 2],
    "logits_hist_data_bar_values": [-1, 0, 1],
    "logits_hist_data_bar_heights": [1, 5, 1],
}


def sae_dashboard(folder: Path) -> None:
    activations = [
        {"bin_min": -1, "bin_max": -1, "bin_contains": -1, "tokens": TOKENS, "values": [0, 0, 3.0, 1]},
        {"bin_min": 0.5, "bin_max": 1.0, "bin_contains": 0.2, "tokens": ["a"], "values": [0.75]},
    ]
    item = COMMON | {"feature_index": 7, "activations": activations}
    (folder / "batch-0.json").write_text(json.dumps({"model_id": "m", "layer": 0, "features": [item]}))
    (folder / "batch-1.json").write_text(json.dumps({"features": [{"feature_index": 9, "frac_nonzero": 0}]}))


def neuronpedia(folder: Path) -> None:
    for name, items in {
        "features": [COMMON | {"index": "7", "maxActApprox": 3.0}, {"index": 9, "frac_nonzero": 0}],
        "activations": [
            {"index": "7", "tokens": TOKENS, "values": [0, 0, 3.0, 1], "binMin": None, "binMax": None},
            {"index": "7", "tokens": ["a"], "values": [0.75], "binMin": 0.5, "binMax": 1.0, "binContains": 0.2},
        ],
        "explanations": [{"index": "7", "description": "days of the week"}],
    }.items():
        (folder / name).mkdir()
        data = "\n".join(map(json.dumps, items)).encode()
        (folder / name / "batch-0.jsonl.gz").write_bytes(gzip.compress(data))


def neuronpedia_api(folder: Path) -> None:
    item = COMMON | {"modelId": "m", "layer": "0-x", "index": "7", "maxActApprox": 3.0}
    item["activations"] = [
        {"tokens": TOKENS, "values": [0, 0, 3.0, 1]},
        {"tokens": ["a"], "values": [0.75], "binMin": 0.5, "binMax": 1.0, "binContains": 0.2},
    ]
    item["explanations"] = [{"description": "days of the week"}]
    (folder / "7.json").write_text(json.dumps(item))


@pytest.mark.parametrize(
    ("write", "title"),
    [(sae_dashboard, "SAEDashboard"), (neuronpedia, "Neuronpedia"), (neuronpedia_api, "Neuronpedia")],
)
def test_a_feature_comes_back_as_it_was_written(tmp_path, write, title):
    write(tmp_path)
    (found,) = open_dashboards(tmp_path)
    assert found.title == title
    feature = found.read(7)
    assert feature.density == 0.01
    assert feature.promoted == ((" Monday", 2.5), (" Friday", 2.0))
    assert feature.suppressed == (("!", -1.5),)
    assert feature.activations == Histogram((0.5, 1.5), (10.0, 2.0))
    assert feature.logits == Histogram((-1.0, 0.0, 1.0), (1.0, 5.0, 1.0))
    assert feature.examples[0] == Example("Top activations", tuple(TOKENS), (0.0, 0.0, 3.0, 1.0))
    assert feature.examples[1] == Example("0.5 to 1", ("a",), (0.75,))
    assert feature.max_activation == 3.0
    assert feature.labels == (("days of the week",) if title == "Neuronpedia" else ())


@pytest.mark.parametrize("write", [sae_dashboard, neuronpedia])
def test_a_dead_feature_has_little_and_an_unknown_one_is_named(tmp_path, write):
    write(tmp_path)
    (found,) = open_dashboards(tmp_path)
    assert found.features == [7, 9]
    dead = found.read(9)
    assert (dead.density, dead.examples, dead.activations, dead.max_activation) == (0, (), None, None)
    with pytest.raises(OutOfRangeError, match="Feature 8"):
        found.read(8)


TOP = {"bin_min": -1, "bin_contains": -1, "tokens": ["a", "b"], "values": [2.34, 0]}
BARS = {"freq_hist_data_bar_values": [0.061, 3.0, 5.939], "freq_hist_data_bar_heights": [9, 1, 1]}


@pytest.mark.parametrize(
    ("said", "largest"),
    [
        # The feature fires at position 0 with 6.10, which no example shows.
        ({"activations": [TOP | {"bin_max": 6.1}]}, 6.1),
        ({"activations": [TOP | {"bin_max": 99}], **BARS}, 5.939 + 2.939 / 2),  # 99: SAEDashboard did not know
        ({"activations": [TOP | {"bin_max": 99}, TOP | {"bin_min": 3, "bin_max": 6.1, "bin_contains": 0.1}]}, 6.1),
        ({"activations": [TOP | {"bin_max": 6.1}], "maxActApprox": 2.34}, 6.1),  # as its converter writes
        ({"activations": [TOP], "maxActApprox": 6.1}, 6.1),
        ({"activations": [TOP | {"bin_max": -1}]}, 2.34),
        ({"activations": [], "maxActApprox": 0}, 0.0),
        ({"activations": [TOP | {"bin_max": "6.1"}], "maxActApprox": "6.1"}, 2.34),
    ],
)
def test_the_largest_activation_is_what_the_file_says_even_where_no_example_shows_it(tmp_path, said, largest):
    item = {"feature_index": 7, "index": "7", **said}
    (tmp_path / "batch-0.json").write_text(json.dumps({"features": [item]}))
    (tmp_path / "features").mkdir()
    (tmp_path / "activations").mkdir()
    beside = [{"index": 7, **one} for one in item.pop("activations")]
    (tmp_path / "features" / "batch-0.jsonl").write_text(json.dumps(item))
    (tmp_path / "activations" / "batch-0.jsonl").write_text("\n".join(map(json.dumps, beside)))
    found = open_dashboards(tmp_path)
    assert len(found) == 2
    for one in found:
        assert one.read(7).max_activation == pytest.approx(largest)


def test_openais_files_are_read(tmp_path):
    (tmp_path / "atoms").mkdir()
    top = {
        "density": 1,
        "doc_id": 1,
        "idx": 2,
        "acts": [0.0, 2.0],
        "act": 2.0,
        "tokens": ["a", "b"],
        "token_ints": [1, 2],
    }
    item = {"density": 0.02, "mean_act": 0.1, "mean_act_squared": 0.2, "hist": {"1.0": 4, "0.5": 9}}
    item |= {"random": [top | {"acts": [1.0, 0.0]}], "top": [top]}
    (tmp_path / "atoms" / "12.json").write_text(json.dumps(item))
    (found,) = open_dashboards(tmp_path)
    feature = found.read(12)
    assert (found.title, feature.density, feature.max_activation) == ("OpenAI viewer", 0.02, 2.0)
    assert feature.activations == Histogram((0.5, 1.0), (9.0, 4.0))
    assert [one.group for one in feature.examples] == ["Top activations", "Random, positive"]


def test_of_two_files_of_openais_with_one_number_the_one_outside_atoms_is_read(tmp_path):
    openai(tmp_path)
    path = tmp_path / "atoms" / "7.json"
    (tmp_path / "7.json").write_text(path.read_text().replace("0.01", "0.5"))
    (found,) = open_dashboards(tmp_path)
    assert (found.read(7).density, found.read(9).density) == (0.5, 0.01)


def test_delphis_explanations_are_read(tmp_path):
    (tmp_path / "layers.3.mlp_latent41.txt").write_text(json.dumps(" verbs of motion "))
    (found,) = open_dashboards(tmp_path)
    assert found.read(41).labels == ("verbs of motion",)


def test_a_folder_without_dashboards_says_what_would_be_one(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "5.json").write_text("{}")
    with pytest.raises(BadDashboardError, match=r"no dashboards.*MODULE_latentN\.txt.*SAEDashboard: batch-0\.json"):
        open_dashboards(tmp_path)


def test_links_that_lead_out_of_the_folder_are_passed_over(tmp_path):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    sae_dashboard(outer)
    (inner / "batch-0.json").symlink_to(outer / "batch-0.json")
    with pytest.raises(BadDashboardError):
        open_dashboards(inner)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"features": 3}', "[" * 100_000, '{"features": [' + "1," * 5])
def test_a_broken_batch_is_named(tmp_path, text):
    (tmp_path / "batch-0.json").write_text(text)
    with pytest.raises(BadDashboardError, match=r"batch-0\.json"):
        open_dashboards(tmp_path)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("core.dashboards.fields.MOST_BYTES", 100)
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "batch-0.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 1000))
    with pytest.raises(BadDashboardError, match="more than"):
        open_dashboards(tmp_path)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("it holds more than", b"{}\n" * 100_000),
        ("a line of it holds more than 66 kB", b'{"index": 1, "a": "' + b" " * 100_000 + b'"}'),
    ],
    ids=["ratio", "line"],
)
def test_a_small_file_that_unpacks_to_a_large_one_is_refused_before_it_is_parsed(tmp_path, monkeypatch, said, text):
    packed = gzip.compress(text)
    monkeypatch.setattr("core.dashboards.fields.LONGEST_LINE", 2**16)
    monkeypatch.setattr("core.dashboards.fields.HARMLESS_BYTES", 2**18 if "line" in said else 2**10)
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "batch-0.jsonl.gz").write_bytes(packed)
    monkeypatch.setattr("core.dashboards.fields.parse", lambda text, path: {})
    with pytest.raises(BadDashboardError, match=said):
        open_dashboards(tmp_path)


@pytest.mark.parametrize("line", [b"{}\n", b"\n"])
def test_a_file_of_more_lines_than_any_batch_has_is_refused(tmp_path, monkeypatch, line):
    monkeypatch.setattr("core.dashboards.fields.MOST_LINES", 50)
    (tmp_path / "features").mkdir()
    for n, says in ((50, "holds no dashboards"), (51, "it holds more than 50 lines")):
        (tmp_path / "features" / "batch-0.jsonl.gz").write_bytes(gzip.compress(line * n))
        with pytest.raises(BadDashboardError, match=says):
            open_dashboards(tmp_path)


def test_files_that_cannot_be_opened_are_named(tmp_path, monkeypatch):
    sae_dashboard(tmp_path)
    (found,) = open_dashboards(tmp_path)

    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(BadDashboardError, match="Permission denied"):
        found.read(7)


def test_a_foreign_file_keeps_no_other_format_from_being_read(tmp_path):
    (tmp_path / "batch-0.json").write_text('{"another": "program"}')
    (tmp_path / "blocks.0_latent3.txt").write_text('"a label"')
    (found,) = open_dashboards(tmp_path)
    assert (found.title, found.features) == ("Delphi explanations", [3])
    assert "batch-0.json has no list of features" in found.refused[0]


def openai(folder: Path) -> None:
    (folder / "atoms").mkdir()
    for feature in (7, 9):
        said = {"density": 0.01, "mean_act": 0.1, "hist": {}, "top": [], "random": []}
        (folder / "atoms" / f"{feature}.json").write_text(json.dumps(said))


def neuronpedia_batches(folder: Path) -> None:
    """Feature 7 in the first batches, feature 9 in the second."""
    for name in ("features", "activations", "explanations"):
        (folder / name).mkdir()
        for i, feature in enumerate((7, 9)):
            line = {"index": feature, "tokens": TOKENS, "values": [feature] * 4, "description": f"label {feature}"}
            data = (json.dumps(line) + "\n").encode()
            (folder / name / f"batch-{i}.jsonl.gz").write_bytes(gzip.compress(data))


DAMAGE = {
    "cut short": lambda data: data[: len(data) // 2],
    "empty JSON": lambda data: b"[1, 2]",
    "a changed byte": lambda data: data[:-3] + bytes([data[-3] ^ 255]) + data[-2:],
    "no JSON": lambda data: b"\xff\xfe<html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("write", "format", "file"),
    [
        (sae_dashboard, "sae_dashboard", "batch-1.json"),
        (neuronpedia_batches, "neuronpedia", "features/batch-1.jsonl.gz"),
    ],
)
def test_one_damaged_batch_keeps_no_other_from_being_read_and_is_named(tmp_path, write, format, file, damage):
    write(tmp_path)
    data = DAMAGE[damage]((tmp_path / file).read_bytes())
    (tmp_path / file).write_bytes(b"{" + data if damage == "a changed byte" and file.endswith("json") else data)
    for _ in range(2):  # what is remembered says the same
        (found,) = open_dashboards(tmp_path)
        assert (found.format, found.features) == (format, [7])
        assert [file in why for why in found.refused] == [True]
        assert found.read(7).examples
        assert found.read(7).unread == ()


@pytest.mark.parametrize("name", ["activations", "explanations"])
def test_a_damaged_batch_of_examples_or_labels_hides_no_other_and_is_named_with_the_feature(tmp_path, name):
    neuronpedia_batches(tmp_path)
    path = tmp_path / name / "batch-1.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    (found,) = open_dashboards(tmp_path)
    first, second = found.read(7), found.read(9)
    assert (first.examples[0].values, first.labels) == ((7.0,) * 4, ("label 7",))
    assert (bool(second.examples), bool(second.labels)) == (name == "explanations", name == "activations")
    for one in (first, second):
        assert [f"{name}/batch-1.jsonl.gz" in why for why in one.unread] == [True]


def test_a_file_that_the_system_refuses_hides_no_other_and_is_read_when_it_no_longer_does(tmp_path, monkeypatch):
    for write in (sae_dashboard, neuronpedia_batches, openai):
        (tmp_path / write.__name__).mkdir()
        write(tmp_path / write.__name__)
    (tmp_path / "neuronpedia_api").mkdir()
    neuronpedia_api(tmp_path / "neuronpedia_api")
    api = tmp_path / "neuronpedia_api" / "7.json"
    (tmp_path / "neuronpedia_api" / "9.json").write_bytes(api.read_bytes())
    bad = ("batch-1.json", "batch-1.jsonl.gz", "9.json")
    opened, packed = Path.open, gzip.open

    def refuse(path, *args, **more):
        if Path(path).name in bad:
            raise PermissionError(13, "Permission denied")
        return (packed if path.suffix == ".gz" else opened)(path, *args, **more)

    folders = sorted(path for path in tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        patched.setattr(gzip, "open", refuse)
        for folder in folders:
            (found,) = open_dashboards(folder)
            assert found.features == [7], folder
            assert all("Permission denied" in why for why in found.refused)
            assert any(any(name in why for name in bad) for why in found.refused)
    for folder in folders:
        (found,) = open_dashboards(folder)
        assert (found.features, found.refused) == ([7, 9], ())


def test_where_all_batches_are_damaged_the_first_is_named(tmp_path):
    neuronpedia_batches(tmp_path)
    for i in (0, 1):
        (tmp_path / "features" / f"batch-{i}.jsonl.gz").write_bytes(b"nothing")
    with pytest.raises(BadDashboardError, match=r"batch-0\.jsonl\.gz cannot be read \(BadGzipFile"):
        open_dashboards(tmp_path)


def test_a_second_look_at_a_feature_reads_only_the_batches_that_hold_it(tmp_path, monkeypatch):
    for name in ("features", "activations", "explanations"):
        (tmp_path / name).mkdir()
        for i in range(8):
            line = {"index": i, "tokens": TOKENS, "values": [i] * 4, "description": f"label {i}"}
            (tmp_path / name / f"batch-{i}.jsonl").write_text(json.dumps(line))
    (found,) = open_dashboards(tmp_path)
    found.read(0)
    read = []
    monkeypatch.setattr(neuronpedia_files, "lines", lambda path: read.append(path) or lines(path))
    dashboard = found.read(5)
    assert (dashboard.labels, dashboard.examples[0].values) == (("label 5",), (5.0,) * 4)
    assert {path.name for path in read} <= {"batch-5.jsonl"}


def test_every_file_that_is_looked_into_is_closed(tmp_path):
    neuronpedia_api(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_dashboards(tmp_path)
        gc.collect()
    assert [warning.message for warning in caught if warning.category is ResourceWarning] == []


ODD = [None, True, -1, 3.5, float("nan"), float("inf"), 1e400, "x", "", [], {}, [None], [[1]], {"a": 1}, "9" * 50]
ODD += [10**400, [10**400] * 3, [1e308] * 3, "\ud800", ["\ud800"] * 3, [{"description": "\udfff"}]]


def test_values_of_the_wrong_type_are_left_out_and_never_crash(tmp_path):
    """Every field of a feature in turn, and of an activation, with every odd value: 225 files' worth."""
    sae_dashboard(tmp_path)
    batch = json.loads((tmp_path / "batch-0.json").read_text())
    item, count = batch["features"][0], 0
    fields = [(item, name) for name in item if name != "feature_index"]
    fields += [(item["activations"][0], name) for name in item["activations"][0]]
    for target, name in fields:
        kept = target[name]
        for odd in ODD:
            target[name] = odd
            (tmp_path / "batch-0.json").write_text(json.dumps(batch))
            # A new name each time, as files are remembered by time and path.
            path = (tmp_path / "batch-0.json").rename(tmp_path / f"batch-{100 + count}.json")
            (found,) = [one for one in open_dashboards(tmp_path) if one.format == "sae_dashboard"]
            check(found.read(7))
            path.rename(tmp_path / "batch-0.json")
            count += 1
        target[name] = kept
    assert count >= 200


def check(feature) -> None:
    """Whatever came in, what comes out has its types, and no number is missing or infinite."""
    for one in feature.examples:
        assert len(one.tokens) == len(one.values) > 0
        assert np.isfinite(one.values).all()
        assert all(isinstance(token, str) for token in one.tokens)
        "".join(one.tokens).encode()
    for bars in (feature.activations, feature.logits):
        assert bars is None or (len(bars.values) == len(bars.heights) > 0 and np.isfinite(bars.values).all())
    assert all(value is None or np.isfinite(value) for value in (feature.density, feature.max_activation))
    assert np.isfinite([weight for _, weight in feature.promoted + feature.suppressed]).all()
    "".join([*feature.labels, *(token for token, _ in feature.promoted)]).encode()


@pytest.mark.parametrize("seed", range(40))
def test_files_with_flipped_bytes_are_read_or_refused_by_name(tmp_path, seed):
    sae_dashboard(tmp_path)
    rng = np.random.default_rng(seed)
    data = bytearray((tmp_path / "batch-0.json").read_bytes())
    for place in rng.integers(0, len(data), 4):
        data[place] = rng.integers(0, 256)
    (tmp_path / "batch-0.json").write_bytes(bytes(data[: rng.integers(1, len(data) + 1)] if seed % 4 == 0 else data))
    said = read_everything(tmp_path)
    assert said is None or "batch-0.json" in said


def read_everything(folder: Path) -> str | None:
    """Read all features of a folder; return the message of a refusal."""
    try:
        for one in open_dashboards(folder):
            for feature in one.features:
                check(one.read(feature))
    except LoupeError as error:
        return str(error)
    return None
