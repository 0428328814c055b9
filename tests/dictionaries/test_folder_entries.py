"""A person's own folders in the list: what their configs say, without their weights, as opening them says it."""

import json
import shutil

import pytest

from core.dictionaries.sources import entries, open_dictionary
from core.logit_weights.series import layer_entries
from core.matching.matrix import factor_pairs
from core.splitting.graph import wider_entries
from core.workspace import Workspace
from tests.doubles.foreign import CASES
from tests.doubles.pages import page
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_pages import write_workspace
from ui.positions import charts
from ui.studies import opened


def listed(*paths):
    workspace = Workspace(roots=(), pinned=paths)
    return [entry for entry in entries(workspace) if entry.id.startswith("folder/")], workspace


def training(root, runs):
    """Save dictionaries as one training would; `runs` gives layer, width and seed of each folder."""
    for name, (layer, width, seed) in runs.items():
        metadata = {"seed": seed, "dataset_path": "books"}
        hook = f"blocks.{layer}.hook_resid_pre"
        planted_dictionary(d_sae=width, seed=width + layer + seed, hook_name=hook, metadata=metadata).save(root / name)
    return [root / name for name in runs]


@pytest.mark.parametrize("name", CASES)
def test_an_entry_says_what_opening_the_dictionary_says(tmp_path, name):
    path = CASES[name].write(tmp_path)
    (entry,), workspace = listed(path)
    found = open_dictionary(entry.id, workspace)
    said = entry.kind, entry.d_sae, entry.hook_name or "", entry.model_name
    config = found.config
    assert said == (config.kind, config.d_sae, config.hook_name, config.model_name)
    assert entry.labels == found.origin.labels
    assert entry.labels["width"] == config.d_sae
    assert entry.title == found.title == path.name


def test_a_folder_whose_subfolders_hold_dictionaries_stands_for_all_of_them(tmp_path):
    names = ("layer_2", "layer_10", "deep/width_16k/layer_3")
    for name in names:
        planted_dictionary().save(tmp_path / "runs" / name)
    CASES["plain .pt"].write(tmp_path / "runs" / "single")
    (tmp_path / "runs" / "layer_2" / "checkpoints").mkdir()
    CASES["plain .pt"].write(tmp_path / "runs" / "layer_2" / "checkpoints")
    found, workspace = listed(tmp_path / "runs")
    there = ["deep/width_16k/layer_3", "layer_2", "layer_10", "single/mine.pt"]
    assert [entry.id for entry in found] == [f"folder/{tmp_path}/runs/{name}" for name in there]
    assert [entry.title for entry in found] == ["layer_3", "layer_2", "layer_10", "mine.pt"]
    assert all(open_dictionary(entry.id, workspace).title == entry.title for entry in found)
    planted_dictionary().save(tmp_path / "runs" / "layer_11")
    assert len(listed(tmp_path / "runs")[0]) == 5


def test_settings_behind_such_a_folder_count_for_each_of_them(tmp_path):
    for name in ("a", "b"):
        planted_dictionary().save(tmp_path / name)
    workspace = Workspace(roots=(), pinned=(tmp_path,), offered=(f"{tmp_path}#context_size=9",))
    found = [entry for entry in entries(workspace) if entry.id.startswith("folder/")]
    assert [entry.title for entry in found] == ["a#context_size=9", "b#context_size=9"]
    assert [open_dictionary(entry.id, workspace).config.context_size for entry in found] == [9, 9]


def test_what_is_set_by_hand_counts_in_the_labels(tmp_path):
    planted_dictionary().save(tmp_path / "mine")
    id = f"folder/{tmp_path / 'mine'}#model_name=other&hook_name=blocks.2.hook_mlp_out"
    labels = open_dictionary(id, Workspace(roots=(tmp_path,))).origin.labels
    assert (labels["model"], labels["layer"]) == ("other", "2 mlp_out")


def test_one_training_forms_series_of_layers_widths_and_seeds_and_pairs_for_every_factor(tmp_path):
    runs = {"a": (0, 12, 0), "b": (1, 12, 0), "c": (0, 24, 0), "d": (0, 12, 1)}
    found, _ = listed(*training(tmp_path, runs))
    first = found[0].id
    assert [entry.title for entry in wider_entries(found, first)] == ["a", "c"]
    assert {name: entry.title for name, entry in layer_entries(found, first).items()} == {"0": "a", "1": "b"}
    assert factor_pairs([entry.labels for entry in found]) == [("layer", 0, 1), ("width", 0, 2), ("seed", 0, 3)]


def test_a_seed_that_only_the_path_names_counts(tmp_path):
    for seed in (0, 1):
        planted_dictionary(seed=seed).save(tmp_path / f"run-seed{seed}" / "final")
    found, _ = listed(*(tmp_path / f"run-seed{seed}" / "final" for seed in (0, 1)))
    assert [entry.labels["seed"] for entry in found] == [0, 1]
    assert factor_pairs([entry.labels for entry in found]) == [("seed", 0, 1)]


def test_dictionaries_of_other_models_are_of_no_series(tmp_path):
    for name, width in (("small", 12), ("wide", 24)):
        planted_dictionary(d_sae=width, metadata={"model_name": name}).save(tmp_path / name)
    found, _ = listed(tmp_path / "small", tmp_path / "wide")
    assert [entry.title for entry in wider_entries(found, found[0].id)] == ["small"]


def test_titles_are_as_long_as_it_takes_to_differ(tmp_path):
    paths = [tmp_path / "x" / "layer1" / "final", tmp_path / "x" / "layer2" / "final", tmp_path / "y" / "other"]
    for path in paths:
        planted_dictionary().save(path)
    found, workspace = listed(*paths, paths[0])
    assert [entry.title for entry in found] == ["layer1/final", "layer2/final", "other"]
    assert open_dictionary(found[1].id, workspace).title == "layer2/final"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"d_sae": -1}', '{"architecture": ["x"]}', "\0" * 40, '{"seed": "' + "9" * 400]
)
def test_a_broken_config_gives_an_entry_without_facts_and_opening_says_what_is_wrong(tmp_path, text):
    planted_dictionary().save(tmp_path / "mine")
    (tmp_path / "mine" / "cfg.json").write_text(text)
    (entry,), _ = listed(tmp_path / "mine")
    assert (entry.title, entry.hook_name, entry.d_sae) == ("mine", None, None)
    (nothing,), _ = listed(tmp_path / "nothing")
    assert nothing.d_sae is None


def test_a_changed_config_is_read_anew(tmp_path):
    planted_dictionary().save(tmp_path / "mine")
    assert listed(tmp_path / "mine")[0][0].hook_name == "blocks.0.hook_resid_pre"
    shutil.rmtree(tmp_path / "mine")
    planted_dictionary(hook_name="blocks.11.hook_resid_pre").save(tmp_path / "mine")
    assert listed(tmp_path / "mine")[0][0].hook_name == "blocks.11.hook_resid_pre"


def test_an_older_flat_config_is_read_without_sae_lens(tmp_path):
    planted_dictionary().save(tmp_path / "old")
    said = {
        "hook_point": "blocks.3.hook_resid_pre",
        "model_name": "gpt2-small",
        "d_sae": 12,
        "architecture": "standard",
    }
    (tmp_path / "old" / "cfg.json").write_text(json.dumps(said))
    (entry,), _ = listed(tmp_path / "old")
    assert (entry.hook_name, entry.model_name, entry.d_sae) == ("blocks.3.hook_resid_pre", "gpt2-small", 12)


def test_the_picker_shows_titles_and_keeps_what_a_link_names(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    (other,) = training(tmp_path / "deep" / "down", {"layer1": (1, 12, 0)})
    with page(tmp_path, monkeypatch, "geometry", "--sae", str(other)) as open_page:
        at = open_page({"sae": f"folder/{other.resolve()}"})
        assert not at.exception
        picker = at.selectbox(key="sae")
        assert picker.options[:2] == ["folder/dictionary", "folder/layer1"]
        assert picker.value == f"folder/{other.resolve()}"
        at = open_page({"sae": "folder/down/layer1"})  # a link from where more folders were listed
        assert not at.exception
        assert not at.error
        picker = at.selectbox(key="sae")
        picker.set_value("folder/dictionary").run()
        assert not at.exception
        assert at.session_state["sae"] == f"folder/{(tmp_path / 'dictionary').resolve()}"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("seed1", "seed1"),  # the end of one id, and a part of another
        ("SEED11", "seed11-wide"),
        ("wide", "seed11-wide"),
        ("seed", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_a_part_of_one_listed_id_alone_means_that_dictionary(tmp_path, monkeypatch, typed, meant):
    paths = training(tmp_path, {"seed1": (0, 12, 1), "seed11-wide": (0, 24, 11)})
    monkeypatch.setattr(opened.compute, "workspace", lambda: Workspace(pinned=tuple(paths)))
    monkeypatch.setattr(opened, "dictionary_ids", lambda: [f"folder/{path}" for path in paths])
    assert opened.full_id(typed) == (f"folder/{tmp_path / meant}" if meant else typed)


def test_folders_are_listed_once_however_many_names_a_picker_shows(tmp_path, monkeypatch):
    paths = training(tmp_path, {f"seed{seed}": (0, 12, seed) for seed in range(5)})
    listings = []
    monkeypatch.setattr(opened, "entries", lambda workspace: listings.append(1) or entries(workspace))
    monkeypatch.setattr(opened.compute, "workspace", lambda: Workspace(pinned=tuple(paths)))
    assert list(map(opened.naming(), [f"folder/{path.resolve()}" for path in paths])) == [
        f"folder/seed{seed}" for seed in range(5)
    ]
    assert listings == [1]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"far": (3, 12, 0), "near": (0, 24, 0)}, "near"),
        ({"far": (3, 12, 0)}, "far"),  # another layer of the same stream can be compared
        ({}, "dictionary"),  # no other fits: the page shows the control
    ],
)
def test_the_first_partner_on_the_matching_page_is_one_that_fits(tmp_path, monkeypatch, others, expected):
    write_workspace(tmp_path)
    planted_dictionary(metadata={"model_name": "another"}).save(tmp_path / "stranger")
    paths = [tmp_path / "stranger", *training(tmp_path, others)]
    more = [word for path in paths for word in ("--sae", str(path))]
    monkeypatch.setattr("ui.matching.page.tabs", lambda a, b: {"Both": lambda: None})
    with page(tmp_path, monkeypatch, "matching", *more) as open_page:
        at = open_page()
        assert not at.exception
        assert at.selectbox(key="b").value == f"folder/{(tmp_path / expected).resolve()}"


def test_positional_features_against_width_are_of_one_model_with_the_picked_one(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    planted_dictionary(d_sae=24, seed=3).save(tmp_path / "wide")
    planted_dictionary(d_sae=36, metadata={"model_name": "another"}).save(tmp_path / "stranger")
    more = [word for name in ("wide", "stranger") for word in ("--sae", str(tmp_path / name))]
    planted_dictionary(d_sae=30, seed=4).save(tmp_path / "typed")
    drawn, draw = [], charts.widths
    monkeypatch.setattr(charts, "widths", lambda table: drawn.append(table) or draw(table))
    with page(tmp_path, monkeypatch, "positions", *more) as open_page:
        at = open_page({"sae": f"folder/{(tmp_path / 'typed').resolve()}", "tab": "Position or token"})
        assert not at.exception
    (table,) = drawn
    assert table[["dictionary", "d_sae"]].to_numpy().tolist() == [["typed", 30], ["dictionary", 12], ["wide", 24]]
