"""Small rules of the readers, each of which once could be broken without a test noticing."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.dictionaries.accounting import text_notes
from core.dictionaries.claims import claims_of
from core.dictionaries.formats import Place, dictionary_learning, elsewhere, plain, rename, sparsify
from core.dictionaries.registry.index import RegistryItem
from core.dictionaries.registry.loaders import is_cross_layer
from core.dictionaries.sources import entries
from core.dictionaries.sources.folder import typed
from core.dictionaries.spaces import place_of
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.notebook import load_dictionary
from core.workspace import Workspace
from tests.doubles.foreign import CASES, draw, write_arrays
from tests.doubles.foreign_maths import D_IN, D_SAE, K
from tests.doubles.planted import planted_dictionary

OURS = draw(70, W_enc=(D_IN, D_SAE), W_dec=(D_SAE, D_IN), b_enc=(D_SAE,), b_dec=(D_IN,))
HOOK = "blocks.2.hook_resid_post"


def claims(said: dict, **settings):
    return claims_of(ConfigFields(said, Path("net.json")), settings, "net.json")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"exclude_special_tokens": True}, "without special tokens (exclude_special_tokens)"),
        ({"exclude_special_tokens": [0, 2]}, "without the tokens [0, 2] (exclude_special_tokens)"),
        ({"exclude_special_tokens": []}, None),
        ({"exclude_special_tokens": False}, None),
    ],
)
def test_the_tokens_that_training_left_out_are_said_in_words(said, words):
    notes = text_notes(ConfigFields(said, Path("cfg.json")))
    assert [words in note for note in notes] == ([True] if words else [])


@pytest.mark.parametrize("key", ["sae_type", "dict_class", "activation"])
@pytest.mark.parametrize("value", [3, ["topk"], True])
def test_a_class_or_activation_that_is_no_name_is_refused(key, value):
    with pytest.raises(BadDictionaryError, match=f"net.json has {key} .*expected the name of a class or activation"):
        claims({key: value})


def test_two_keys_that_say_the_same_architecture_agree_and_the_first_is_named():
    said = claims({"sae_type": "topk", "activation": "TopK", "k": 3})
    assert (said.architecture, said.said_by) == ("topk", "sae_type topk")
    assert said.stated == ("net.json says architecture topk from sae_type topk, k 3",)


@pytest.mark.parametrize("name", ["jumprelu", "gated", "abstopk"])
def test_an_architecture_goes_with_itself(name):
    said = claims({"sae_type": name, "activation": name})
    assert (said.architecture, said.said_by) == (name, f"sae_type {name}")


def test_only_what_a_config_says_is_stated():
    assert claims({"sae_type": "batchtopk"}).stated == ("net.json says architecture batchtopk from sae_type batchtopk",)
    assert claims({"k": 3}).stated == ("net.json says architecture topk from k 3",)
    assert claims({}).stated == ()


@pytest.mark.parametrize(
    ("said", "hook"),
    [
        ({"hook_name": HOOK, "site": "resid_pre", "layer": 5}, HOOK),
        ({"site": "resid_pre", "layer": 5}, "blocks.5.hook_resid_pre"),
        ({"site": "resid_pre", "layer": "5"}, None),
        ({"hook_point": "resid_pre", "layer": 5}, "blocks.5.hook_resid_pre"),
        ({"hook_point": "resid_pre", "layer": [5]}, "resid_pre"),
    ],
)
def test_a_site_and_a_layer_make_a_hook_only_where_none_is_named(said, hook):
    assert claims(said).metadata.get("hook_name") == hook


@pytest.mark.parametrize(
    ("said", "settings", "normalised"),
    [
        ({"normalize_activations": "layer_norm"}, {}, "layer_norm"),
        ({}, {"normalize_activations": "layer_norm"}, "layer_norm"),
        ({"input_unit_norm": True}, {"normalize_activations": "none"}, "none"),
        ({}, {}, None),
    ],
)
def test_the_normalisation_is_that_of_the_config_unless_a_person_says_another(said, settings, normalised):
    assert claims(said, **settings).normalize == normalised


def test_an_entry_has_the_settings_behind_its_path_in_its_title_and_its_facts(tmp_path):
    write_arrays(tmp_path / "net.npz", OURS)
    tail = f"model_name=gpt2-small&hook_name={HOOK}&k=3"
    workspace = Workspace(roots=(), pinned=(tmp_path / "net.npz",), offered=(f"{tmp_path}/net.npz#{tail}",))
    (entry,) = [entry for entry in entries(workspace) if entry.id.startswith("folder/")]
    assert entry.title == f"net.npz#{tail}"
    assert (entry.model_name, entry.hook_name, entry.labels["k"]) == ("gpt2-small", HOOK, 3)


@pytest.mark.parametrize("name", ["layer", "target", "side", "hook_head_index"])
def test_what_is_counted_from_0_may_be_0(name):
    assert typed({name: "0"}) == {name: 0}


@pytest.mark.parametrize("name", ["k", "context_size", "level", "features"])
def test_a_number_of_things_may_not_be_0(name):
    with pytest.raises(BadDictionaryError, match=f"{name} '0'; expected a whole number from 1"):
        typed({name: "0"})


def test_whole_numbers_are_refused_before_a_format_makes_numbers_of_them(tmp_path):
    with pytest.raises(BadDictionaryError, match="b holds int64 values, expected floating-point"):
        rename({"b": np.zeros(3, np.int64)}, {"b_enc": "b"}, tmp_path / "net.npz")


@pytest.mark.parametrize(
    ("more", "fits"),
    [({}, "NAMES_FIT"), ({"threshold": np.ones(D_SAE, np.float32)}, "MAYBE"), ({"W_dec": None}, "NO")],
)
@pytest.mark.parametrize("file", ["net.npz", "net.safetensors"])
def test_a_file_fits_by_the_names_of_its_tensors(tmp_path, file, more, fits):
    write_arrays(tmp_path / file, {name: array for name, array in (OURS | more).items() if array is not None})
    assert plain.score(Place(tmp_path / file)) == getattr(plain, fits)


@pytest.mark.parametrize("said", [{}, {"apply_b_dec_to_input": True}, {"apply_b_dec_to_input": False}])
def test_it_is_called_a_guess_that_the_bias_is_subtracted_only_where_nothing_says_it(tmp_path, said):
    write_arrays(tmp_path / "net.npz", OURS)
    (tmp_path / "net.json").write_text(json.dumps(said))
    guessed = [phrase for phrase in load_dictionary(tmp_path / "net.npz").inferred if "subtracted" in phrase]
    assert bool(guessed) == (said == {})


@pytest.mark.parametrize(
    ("conversion", "path", "cross"),
    [
        ("gemma_3", "clt/width_262k/layer_3", True),
        ("gemma_3", "resid_post/layer_3", False),
        ("mntss_clt_layer_transcoder", "layer_3", True),
        ("sae_lens", "clt/layer_3", False),
        (None, "layer_3", False),
    ],
)
def test_one_layer_of_a_cross_layer_transcoder_is_known_by_its_loader(conversion, path, cross):
    said = dict.fromkeys(("release", "sae_id", "model", "repository"), "")
    item = RegistryItem(**said, path=path, conversion=conversion, variance_explained=None, neuronpedia=None, l0=None)
    assert is_cross_layer(item) == cross


def test_of_many_single_files_three_are_named_and_no_folder_among_them(tmp_path):
    for name in ("a.pt", "b.npz", "c.safetensors", "d.pth"):
        (tmp_path / name).write_bytes(b"")
    assert elsewhere.hint(tmp_path) == " It holds a.pt, b.npz, c.safetensors: name that file itself."


def test_of_many_folders_with_weights_three_are_named_and_none_without(tmp_path):
    for name in ("a", "b", "c", "d", "0 notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("ae.pt" if len(name) == 1 else "readme.txt")).write_bytes(b"")
    assert elsewhere.hint(tmp_path) == " Its folders a, b, c hold weights: name one of them."


def test_a_folder_that_cannot_be_looked_into_is_not_said_to_hold_weights(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ae.pt").write_bytes(b"")
    there = Path.iterdir

    def iterdir(path):
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return there(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert elsewhere.hint(tmp_path) == " Its folders b hold weights: name one of them."


def test_dictionary_learning_takes_the_config_beside_its_file_before_the_one_above(tmp_path):
    case = CASES["AutoEncoder"]
    (tmp_path / "run").mkdir()
    path = case.write(tmp_path / "run")
    above = json.loads((path / "config.json").read_text())
    above["trainer"]["layer"] = 1
    above["trainer"]["submodule_name"] = "resid_post_layer_1"
    (tmp_path / "config.json").write_text(json.dumps(above))
    for place in (path, path / "ae.pt"):
        assert load_dictionary(place).config.hook_name == "blocks.3.hook_resid_post"
    (path / "config.json").unlink()
    (path / "sae_config.json").write_text('{"lr": 1}')  # of a file, not of the folder
    assert load_dictionary(path).config.hook_name == "blocks.1.hook_resid_post"
    assert dictionary_learning.said(Place(path)).hook_name == "blocks.1.hook_resid_post"


def test_a_named_file_s_own_config_comes_before_the_folder_s(tmp_path):
    case = CASES["AutoEncoder"]
    path = case.write(tmp_path)
    own = json.loads((path / "config.json").read_text())
    own["trainer"]["submodule_name"] = "resid_post_layer_2"
    (path / "ae_cfg.json").write_text(json.dumps(own))
    assert load_dictionary(path / "ae.pt").config.hook_name == "blocks.2.hook_resid_post"
    assert load_dictionary(path).config.hook_name == "blocks.3.hook_resid_post"


def test_sparsify_says_its_width_by_factor_and_width_of_the_input(tmp_path):
    for said, width in (({"expansion_factor": 4, "d_in": 8}, 32), ({"expansion_factor": 4}, None)):
        (tmp_path / "cfg.json").write_text(json.dumps(said | {"k": K}))
        assert sparsify.said(Place(tmp_path)).d_sae == width
    (tmp_path / "cfg.json").write_text(json.dumps({"expansion_factor": 4, "num_latents": 24, "d_in": 8}))
    assert sparsify.said(Place(tmp_path)).d_sae == 24


def test_openais_file_without_an_activation_is_a_relu(tmp_path):
    case = CASES["OpenAI ReLU"]
    path = case.write(tmp_path)
    write_arrays(tmp_path / case.weights, case.arrays, {"activation": None})
    x = np.random.default_rng(0).normal(size=(5, D_IN)).astype(np.float32)
    found = load_dictionary(path, fold_decoder_norms=False)
    assert found.config.architecture == "standard"
    np.testing.assert_allclose(found.encode(x), case.reference(x)[0], atol=1e-4)


def test_a_dictionary_writes_to_its_own_hook_or_to_the_one_it_names():
    own = planted_dictionary(hook_name=HOOK)
    assert [place_of(own, side) for side in ("decoder", "encoder")] == [HOOK, HOOK]


def test_a_transcoder_reads_one_place_and_writes_to_another(tmp_path):
    case = CASES["sparsify transcoder"]
    found = load_dictionary(case.write(tmp_path))
    assert [place_of(found, side) for side in ("decoder", "encoder")] == [case.hook_name_out, case.hook_name]
