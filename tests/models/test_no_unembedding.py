"""A model whose files hold no unembedding has activations on every page, and no logits on any."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.activations.spliced_loss import token_losses
from core.errors import BadDictionaryError, DoesNotFitError
from core.models.gradients import losses
from core.models.language_model import LanguageModel
from tests.doubles import pages, planted_pages
from tests.doubles.planted import planted_model
from tests.doubles.tiny_models import write_tiny

ROWS = np.random.default_rng(4).integers(0, 200, (2, 7))
HOOK = "blocks.1.hook_resid_pre"


def without(folder, *names: str):
    """Take tensors out of a model's file."""
    path = folder / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if name not in names}
    save_file(kept, path, metadata={"format": "pt"})
    return folder


@pytest.fixture(params=["llama", "own names"])
def folder(request, tmp_path):
    if request.param == "llama":
        return write_tiny("llama", tmp_path)
    return planted_model(tmp_path, n_ctx=64).folder


def test_its_activations_are_those_of_the_whole_model_and_its_logits_are_refused(folder):
    import torch

    expected = LanguageModel(folder).activations(ROWS, HOOK)
    assert LanguageModel(folder).has_unembedding
    model = LanguageModel(without(folder, "lm_head.weight", "unembed.W_U", "unembed.b_U"))
    assert not model.has_unembedding
    np.testing.assert_array_equal(model.activations(ROWS, HOOK), expected)
    tokens = torch.from_numpy(ROWS)
    target = losses(ROWS, np.ones(ROWS.shape, bool))
    for refused in (
        lambda: model.W_U,
        lambda: token_losses(model, ROWS),
        lambda: model.running.logits(torch.ones(3, model.d_model)),
        lambda: model.running.gradient(tokens, HOOK, target),
    ):
        with pytest.raises(DoesNotFitError, match=r"has no unembedding: expected unembed\.W_U"):
            refused()


@pytest.mark.parametrize("name", ["unembed.W_U", "unembed.b_U"])
def test_half_an_unembedding_is_a_damaged_model(tmp_path, name):
    model = LanguageModel(without(planted_model(tmp_path).folder, name))
    with pytest.raises(BadDictionaryError, match=f"do not fit its config: missing .*{name}"):
        _ = model.running


TABS = ["Edited text", "Dose and response", "Continuations", "Attribution", "Atlas"]
NEED_LOGITS = [("overview", None), ("feature", None), ("logit_weights", None), ("activations", "Loss by position")]
NEED_LOGITS += [("interventions", tab) for tab in TABS]
NEED_NONE = [("text", None), ("positions", None), ("automata", None), ("activations", None)]


@pytest.mark.parametrize(("name", "tab"), NEED_LOGITS + NEED_NONE)
def test_pages_name_it_where_they_need_logits_and_show_the_rest(tmp_path, monkeypatch, name, tab):
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    without(tmp_path / "planted", "unembed.W_U", "unembed.b_U")
    with pages.page(tmp_path, monkeypatch, name) as open_page:
        at = open_page({"rows": 20, "feature": planted_pages.POSITIONAL, "iv_new": 3, "tab": tab})
    assert not at.exception
    said = [error.value for error in at.error]
    assert all("no unembedding" in each for each in said), said
    assert bool(said) == ((name, tab) in NEED_LOGITS)
