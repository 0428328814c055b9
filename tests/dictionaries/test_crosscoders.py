"""Crosscoders of layers and of models: each side computes what its library computes, and pages say which side it is."""

import numpy as np
import pytest

from core.activations.reconstruction import error_by_position
from core.dictionaries.config import check_said
from core.dictionaries.sources import entries, open_dictionary
from core.dictionaries.spaces import directions
from core.errors import BadDictionaryError, DoesNotFitError
from core.models.batches import activations_at
from core.models.search import check_fit
from core.models.side_by_side import SideBySide
from core.overview.tables import relative_decoder_norm, weight_table
from core.workspace import Workspace
from tests.doubles import crosscoders
from tests.doubles.activation_rows import ROWS
from tests.doubles.crosscoders import LENGTHS, SIDES, D, N, dictionary_learning, draw, kissane, llamascopium, normaliser
from tests.doubles.foreign import write_arrays
from tests.doubles.pages import app, fine, page, run, text_of
from tests.doubles.planted import planted_model
from tests.doubles.planted_pages import read_little_text, write_workspace

X = 2 * np.random.default_rng(1).normal(size=(30, SIDES, D)).astype(np.float32)


def opened(path, tail=""):
    return open_dictionary(f"folder/{path}{tail}", Workspace(roots=(path.parent,)))


def agrees(dictionary, acts, x_hat, x=X):
    flat = x.reshape(len(x), -1)
    np.testing.assert_allclose(dictionary.encode(flat), acts, atol=2e-5)
    np.testing.assert_allclose(dictionary.reconstruct(flat), x_hat, atol=5e-5)


@pytest.mark.parametrize("side", range(SIDES))
@pytest.mark.parametrize("norm", [None, normaliser()])
def test_a_relu_crosscoder_computes_what_dictionary_learning_does(tmp_path, side, norm):
    w = draw()
    dictionary = opened(dictionary_learning(tmp_path / "cc", w, norm=norm), f"#side={side}")
    acts, x_hat = crosscoders.run_dictionary_learning(w, X, norm=norm)
    agrees(dictionary, acts[:, side], x_hat[:, side])
    assert (dictionary.config.kind, dictionary.config.side, dictionary.folded) == ("crosscoder", side, False)


@pytest.mark.parametrize("side", range(SIDES))
@pytest.mark.parametrize("how", LENGTHS)
def test_a_batch_topk_crosscoder_runs_by_its_threshold_in_every_code_normalisation(tmp_path, side, how):
    w, threshold = draw(), [1.5, 2.5] if how == "DECOUPLED" else 2.0
    folder = dictionary_learning(tmp_path / "cc", w, how=how, threshold=threshold)
    acts, x_hat = crosscoders.run_dictionary_learning(w, X, how=how, threshold=threshold)
    dictionary = opened(folder, f"#side={side}")
    agrees(dictionary, acts[:, side], x_hat[:, side])
    assert dictionary.config.kind == "batchtopk_crosscoder"
    assert 0 < (acts[:, side] != 0).mean() < 1


@pytest.mark.parametrize("side", range(SIDES))
@pytest.mark.parametrize("averages", [None, (3.0, 5.0)])
@pytest.mark.parametrize("act_fn", ["jumprelu", "topk"])
def test_a_crosscoder_of_llamascopium_competes_on_each_side_by_itself(tmp_path, side, averages, act_fn):
    w = draw()
    dictionary = opened(llamascopium(tmp_path / "cc", w, act_fn=act_fn, averages=averages), f"#side={side}")
    acts, x_hat = crosscoders.run_llamascopium(w, X, act_fn=act_fn, averages=averages)
    # Activations of a TopK take up the lengths by which they compete.
    scale = np.linalg.norm(w["W_dec"][side], axis=-1) if act_fn == "topk" else 1
    agrees(dictionary, acts[:, side] * scale, x_hat[:, side])
    hooks = ("blocks.2.hook_resid_post", "blocks.5.hook_resid_post")
    assert (dictionary.config.hooks_in, dictionary.config.hook_name_out) == (hooks, hooks[side])


@pytest.mark.parametrize("side", range(SIDES))
def test_a_crosscoder_of_two_models_by_kissane_is_found_by_its_axes(tmp_path, side):
    w = draw()
    dictionary = opened(kissane(tmp_path / "cc", w), f"#side={side}&model_names=gemma-2-2b,gemma-2-2b-it")
    acts, x_hat = crosscoders.run_dictionary_learning(w, X)
    agrees(dictionary, acts[:, side], x_hat[:, side])
    config = dictionary.config
    assert config.model_name == ("gemma-2-2b", "gemma-2-2b-it")[side]
    assert (config.read_models, config.hook_name) == (("gemma-2-2b", "gemma-2-2b-it"), "blocks.14.hook_resid_pre")


def test_each_side_has_its_own_directions_and_its_share_of_the_decoder_norm(tmp_path):
    w = draw()
    folder, shares = dictionary_learning(tmp_path / "cc", w), []
    for side in range(SIDES):
        dictionary = opened(folder, f"#side={side}")
        np.testing.assert_array_equal(directions(dictionary, "decoder"), w["W_dec"][side])
        np.testing.assert_array_equal(directions(dictionary, "encoder"), w["W_enc"][side].T)
        shares.append(weight_table(dictionary)["relative_decoder_norm"].to_numpy())
    norms = np.linalg.norm(w["W_dec"].astype(np.float64), axis=2)
    np.testing.assert_allclose(shares[0], norms[0] / norms.sum(0))
    np.testing.assert_allclose(shares[0] + shares[1], 1)
    assert (shares[0][2], shares[1][2]) == (0, 1)
    assert np.isnan(relative_decoder_norm(np.zeros((2, 1)), 0)).all()
    assert len(weight_table(opened(folder, "#features=3"))["relative_decoder_norm"]) == 3


def test_what_no_config_says_of_the_sides_is_asked_for_and_set_by_hand(tmp_path):
    folder = dictionary_learning(tmp_path / "cc", draw())
    silent = opened(folder)
    assert any("#model_names=gemma-2-2b,gemma-2-2b-it&hook_names=" in note for note in silent.notes)
    with pytest.raises(DoesNotFitError, match=r"do not say model_names and hook_names.*PATH#model_names="):
        check_said(silent.config, silent.title)
    told = opened(folder, "#side=1&model_names=gpt2&hook_names=blocks.1.hook_resid_post,blocks.2.hook_mlp_out")
    check_said(told.config, told.title)
    assert told.config.hooks_in == ("blocks.1.hook_resid_post", "blocks.2.hook_mlp_out")
    assert (told.config.model_name, told.config.hook_name) == ("gpt2", "blocks.2.hook_mlp_out")
    assert told.config.read_models == ()
    with pytest.raises(BadDictionaryError, match=r"hook_names has 3 names .* and the crosscoder 2 sides"):
        opened(folder, "#hook_names=a,b,c")


def test_the_layer_of_a_config_is_the_hook_of_every_side(tmp_path):
    config = opened(dictionary_learning(tmp_path / "cc", draw(), layer=13)).config
    assert config.hooks_in == ("blocks.13.hook_resid_post",) * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decoder.weight": np.zeros((2, N, D + 1), np.float32)}, r"W_dec in .* has shape \(2, 6, 5\); expected"),
        ({"decoder.bias": np.zeros(D, np.float32)}, r"b_dec in .* has shape"),
        ({"encoder.bias": np.zeros(N + 1, np.float32)}, r"b_enc in .* has shape"),
        ({"code_normalization_id": np.array(9)}, "says code_normalization None; expected one of CROSSCODER"),
        ({"threshold": np.zeros(3, np.float32)}, r"its threshold has shape \(3,\); expected one number"),
        ({"odd": np.zeros((2, 2), np.float32)}, "has odd besides"),
        ({"decoder.weight": np.full((2, N, D), np.nan, np.float32)}, "values that are NaN or infinite"),
    ],
)
def test_a_crosscoder_whose_tensors_do_not_go_together_is_named(tmp_path, change, said):
    folder, w = dictionary_learning(tmp_path / "cc", draw()), draw()
    arrays = {"encoder.weight": w["W_enc"], "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"]}
    write_arrays(folder / "ae.pt", arrays | {"decoder.bias": w["b_dec"], "code_normalization_id": np.array(1)} | change)
    with pytest.raises(BadDictionaryError, match=said):
        opened(folder)


def test_a_side_that_there_is_not_is_named(tmp_path):
    with pytest.raises(BadDictionaryError, match=r"crosscoder of 2 sides, and side 2 is none of them; expected 0 to 1"):
        opened(dictionary_learning(tmp_path / "cc", draw()), "#side=2")


def test_a_threshold_that_was_never_estimated_is_said(tmp_path):
    dictionary = opened(dictionary_learning(tmp_path / "cc", draw(), threshold=-1.0))
    assert any("never estimated" in note for note in dictionary.notes)
    agrees(dictionary, *(part[:, 0] for part in crosscoders.run_dictionary_learning(draw(), X)))


def test_one_side_of_gemma_scope_2_is_not_taken_for_a_dictionary(tmp_path):
    shapes = {"w_enc": (D, N), "w_dec": (N, D), "threshold": (N,), "b_enc": (N,), "b_dec": (D,)}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    write_arrays(tmp_path / "params_layer_0.safetensors", arrays)
    with pytest.raises(BadDictionaryError, match="one side of a crosscoder of Gemma Scope 2"):
        opened(tmp_path / "params_layer_0.safetensors")


LAYERS = "hook_names=blocks.0.hook_resid_post,blocks.1.hook_resid_post"


def test_layers_of_one_model_are_read_together(tmp_path):
    w, model = draw(d=8), planted_model(tmp_path)
    dictionary = opened(dictionary_learning(tmp_path / "cc", w), f"#side=1&model_names=planted&{LAYERS}")
    check_fit(dictionary.config, model)
    both = [model.activations(ROWS, f"blocks.{i}.hook_resid_post").reshape(-1, 8) for i in (0, 1)]
    _, x_hat = crosscoders.run_dictionary_learning(w, np.stack(both, axis=1).astype(np.float64))
    target = both[1].astype(np.float64)
    fve = 1 - ((target - x_hat[:, 1]) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()
    assert error_by_position(dictionary, model, ROWS, context_size=7).totals()["fve"][0] == pytest.approx(fve, rel=1e-5)


def test_two_models_are_run_side_by_side(tmp_path):
    models = planted_model(tmp_path / "a"), planted_model(tmp_path / "b", seed=1)
    hook = "blocks.1.hook_resid_post"
    joint = SideBySide(models, 1)
    x = activations_at(joint, ROWS, (hook, hook))
    np.testing.assert_array_equal(x[..., :8], models[0].activations(ROWS, hook))
    np.testing.assert_array_equal(x[..., 8:], models[1].activations(ROWS, hook))
    np.testing.assert_array_equal(joint.activations(ROWS, hook), x[..., 8:])
    assert len({joint.sha256, SideBySide(models, 0).sha256, models[0].sha256, models[1].sha256}) == 4
    assert joint.d_model == 8
    dictionary = opened(dictionary_learning(tmp_path / "cc", draw(d=8)), f"#side=1&model_names=a,b&hook_names={hook}")
    check_fit(dictionary.config, joint)
    with pytest.raises(DoesNotFitError, match="different tokenizers"):
        SideBySide((models[0], planted_model(tmp_path / "c", d_vocab=200)), 0)


def sidebar():
    import streamlit as st

    from ui.sidebar import pickers
    from ui.studies import opened

    st.text_input("sae", key="sae")
    pickers.choices()
    pickers.facts(opened.dictionary())


def test_the_sidebar_offers_the_sides_by_their_hooks(tmp_path, monkeypatch):
    folder = llamascopium(tmp_path / "cc", draw())
    with app(monkeypatch, "--root", str(tmp_path), "--cache", str(tmp_path / "cache")):
        at = fine(run(sidebar, sae=f"folder/{folder}"))
        (choice,) = at.selectbox
        assert list(choice.options) == [f"side {i}: blocks.{n}.hook_resid_post" for i, n in enumerate((2, 5))]
        at = fine(choice.set_value("1").run())
        assert at.session_state["sae"] == f"folder/{folder}#side=1"
        assert "blocks.5.hook_resid_post" in text_of(at)


PAGES = (
    "overview",
    "geometry",
    "logit_weights",
    "feature",
    "activations",
    "positions",
    "text",
    "splitting",
    "matching",
)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_for_one_side(tmp_path, monkeypatch, name):
    write_workspace(tmp_path)
    read_little_text(monkeypatch)
    folder = dictionary_learning(tmp_path / "cc", draw(d=8))
    with page(tmp_path, monkeypatch, name) as open_page:
        assert not open_page({"sae": f"folder/{folder}#side=1&model_names=planted&{LAYERS}"}).exception


def test_text_is_refused_by_the_name_of_the_model_that_is_not_here(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    folder = dictionary_learning(tmp_path / "cc", draw(d=8))
    tail = "#model_names=planted,planted-it&hook_names=blocks.0.hook_resid_post"
    with page(tmp_path, monkeypatch, "activations") as open_page:
        at = open_page({"sae": f"folder/{folder}{tail}"})
        said = text_of(at, "error")
        assert "There is no model called 'planted-it'" in said
        assert "model_name=" not in said
    with page(tmp_path, monkeypatch, "geometry") as open_page:
        fine(open_page({"sae": f"folder/{folder}{tail}"}))


def test_an_entry_says_what_its_config_says(tmp_path):
    folder = llamascopium(tmp_path / "cc", draw())
    (entry,) = (e for e in entries(Workspace(roots=(), pinned=(folder,))) if e.id.startswith("folder/"))
    assert (entry.kind, entry.d_sae, entry.hook_name) == ("crosscoder", N, "blocks.2.hook_resid_post")
