"""The first features of a dictionary as one of their own: levels, any number, and what cannot be looked at so."""

import numpy as np
import pytest

from core.dictionaries.sources import entries, open_dictionary
from core.dictionaries.sources.choices import with_setting
from core.errors import BadDictionaryError, UnknownNameError
from core.workspace import Workspace
from tests.doubles.foreign import CASES
from tests.doubles.foreign_maths import D_IN, D_SAE
from tests.doubles.pages import app, fine, page, run, table, text_of
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_pages import write_workspace

X = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
LEVELS = {"training_architecture_details": {"matryoshka_widths": [3, 7, 12]}}


def saved(folder, architecture="standard", **options):
    dictionary = planted_dictionary(architecture, metadata=LEVELS, **options)
    dictionary.save(folder)
    return dictionary


def opened(folder, tail=""):
    return open_dictionary(f"folder/{folder}{tail}", Workspace(roots=(folder.parent,)))


@pytest.mark.parametrize("tail", ["#features=7", "#level=2"])
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_a_level_computes_what_its_features_compute_in_the_whole(tmp_path, architecture, tail):
    whole = saved(tmp_path / "sae", architecture)
    level = opened(tmp_path / "sae", tail)
    acts = whole.encode(X)[:, :7]
    np.testing.assert_allclose(level.encode(X), acts, atol=1e-5)
    np.testing.assert_allclose(level.reconstruct(X), acts @ whole.W_dec[:7] + whole.b_dec, atol=1e-5)
    assert (level.d_sae, level.config.matryoshka_widths) == (7, (3, 7))
    assert any("level 2 of 3: its first 7 of 12 features" in phrase for phrase in level.inferred)
    assert level.title == f"sae{tail}"
    assert len({whole.sha256, level.sha256, opened(tmp_path / "sae", "#features=3").sha256}) == 3


def test_features_of_a_topk_compete_among_themselves(tmp_path):
    whole = saved(tmp_path / "sae", "topk", k=4)
    level = opened(tmp_path / "sae", "#level=2")
    before = whole.encode_with_pre_acts(X)[1][:, :7]
    kept = before >= -np.sort(-before, axis=1)[:, 3:4]
    np.testing.assert_allclose(level.encode(X), np.where(kept, np.maximum(before, 0), 0), atol=1e-5)
    assert any("Its k largest are those among them" in phrase for phrase in level.inferred)
    assert opened(tmp_path / "sae", "#level=1").config.k == 3


def test_levels_of_dictionary_learning_are_those_of_its_groups(tmp_path):
    case = CASES["MatryoshkaBatchTopKSAE"]
    folder = case.write(tmp_path).resolve()
    level = opened(folder, "#level=1")
    acts, _ = case.reference(X[:, :D_IN])
    W_dec, b_dec = case.arrays["W_dec"], case.arrays["b_dec"]
    assert level.d_sae == 4
    np.testing.assert_allclose(level.reconstruct(X[:, :D_IN]), acts[:, :4] @ W_dec[:4] + b_dec, atol=1e-4)
    (choice,) = opened(folder).origin.choices
    assert (choice.name, list(choice.values)) == ("features", ["", "4"])
    assert opened(folder).d_sae == D_SAE


def test_any_number_of_features_can_be_looked_at_with_a_warning(tmp_path):
    planted_dictionary().save(tmp_path / "sae")
    level = opened(tmp_path / "sae", "#features=5")
    assert level.d_sae == 5
    assert any("not trained to reconstruct without the others" in note for note in level.notes)
    assert level.origin.choices == ()
    assert opened(tmp_path / "sae", "#features=12").sha256 == opened(tmp_path / "sae").sha256


@pytest.mark.parametrize(
    ("architecture", "tail", "said"),
    [
        ("standard", "#level=4", "has no level 4; expected 1 to 3"),
        ("standard", "#features=13", "has 12 features, so its first 13 cannot be looked at; expected 1 to 12"),
        ("standard", "#features=0", "has features '0'; expected a whole number from 1"),
        ("matching_pursuit", "#features=3", "whose features are computed from each other"),
    ],
)
def test_what_cannot_be_looked_at_is_named(tmp_path, architecture, tail, said):
    own = {"residual_threshold": 1e-2, "max_iterations": 3, "stop_on_duplicate_support": True}
    saved(tmp_path / "sae", architecture, extra=own if architecture == "matching_pursuit" else None)
    with pytest.raises(BadDictionaryError, match=said):
        opened(tmp_path / "sae", tail)


def test_a_dictionary_without_levels_says_how_to_name_a_number(tmp_path):
    planted_dictionary().save(tmp_path / "sae")
    with pytest.raises(BadDictionaryError, match=r"none, as it is no Matryoshka dictionary; write #features=N"):
        opened(tmp_path / "sae", "#level=1")


def test_dictionaries_of_the_demo_take_a_number_too_and_the_registry_takes_no_other_setting():
    whole = open_dictionary("demo/layer2-standard-512", Workspace())
    part = open_dictionary("demo/layer2-standard-512#features=100", Workspace())
    np.testing.assert_array_equal(part.W_dec, whole.W_dec[:100])
    with pytest.raises(UnknownNameError, match=r"no setting of a dictionary in the registry called 'k'"):
        open_dictionary("registry/gpt2-small-res-jb/blocks.0.hook_resid_pre#k=3", Workspace())


@pytest.mark.parametrize(
    ("id", "name", "value", "expected"),
    [
        ("folder/a", "features", "7", "folder/a#features=7"),
        ("folder/a#features=7&k=3", "features", "", "folder/a#k=3"),
        ("folder/a#level=2", "features", "3", "folder/a#features=3"),
        ("folder/a#target=1", "layer", "2", "folder/a#layer=2"),
        ("folder/a#target=2", "layer", "1", "folder/a#layer=1&target=2"),
    ],
)
def test_a_choice_changes_one_setting_of_an_id(id, name, value, expected):
    assert with_setting(id, name, value) == expected


def sidebar():
    import streamlit as st

    from ui.sidebar import pickers
    from ui.studies import opened

    st.text_input("sae", key="sae")
    pickers.choices()
    pickers.facts(opened.dictionary())


def test_the_sidebar_offers_the_levels(tmp_path, monkeypatch):
    saved(tmp_path / "sae")
    with app(monkeypatch, "--root", str(tmp_path), "--cache", str(tmp_path / "cache")):
        at = fine(run(sidebar, sae=f"folder/{tmp_path}/sae"))
        (level,) = at.selectbox
        assert list(level.options) == ["all 12 features", "level 1: first 3 features", "level 2: first 7 features"]
        at = fine(level.set_value("7").run())
        assert at.session_state["sae"] == f"folder/{tmp_path}/sae#features=7"
        assert "level 2 of 3" in text_of(at)


def test_the_levels_are_the_widths_of_the_splitting_page(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    saved(tmp_path / "matryoshka")
    with page(tmp_path, monkeypatch, "splitting") as open_page:
        at = fine(open_page({"sae": f"folder/{tmp_path}/matryoshka#features=3"}))
        (wider,) = (box for box in at.multiselect if box.label == "Wider dictionaries")
        assert wider.value == [f"folder/{tmp_path}/matryoshka#features=7", f"folder/{tmp_path}/matryoshka"]
        assert 0 in set(table(at, "child")["child"]), "a feature of a level is its own child in the next"


def test_a_level_on_the_command_line_is_listed_with_its_width(tmp_path):
    saved(tmp_path / "sae")
    workspace = Workspace(roots=(), pinned=(tmp_path / "sae",), offered=(f"{tmp_path}/sae#features=7",))
    (entry,) = (entry for entry in entries(workspace) if entry.id.startswith("folder/"))
    assert (entry.d_sae, entry.title) == (7, "sae#features=7")
    assert open_dictionary(entry.id, workspace).title == entry.title
