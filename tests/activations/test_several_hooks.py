"""Dictionaries that read several places at once: the token pass, errors and losses, against loops by hand."""

import numpy as np
import pytest

from core.activations.encoding import Encoder
from core.activations.reconstruction import error_by_position
from core.activations.spliced_loss import spliced_loss
from core.activations.token_pass import activation_pass
from core.dictionaries.sources import open_dictionary
from core.errors import DoesNotFitError
from core.models.search import check_fit
from core.positions.methods import choose_method, position_statistics
from core.workspace import Workspace
from tests.doubles.activation_rows import ROWS
from tests.doubles.cross_layer import N, acts_of, circuit_tracer, draw, output
from tests.doubles.planted import planted_model


@pytest.fixture
def w():
    return draw(threshold=True, layers=2, d=8)


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path)


@pytest.fixture
def whole(tmp_path, w):
    folder = circuit_tracer(tmp_path / "clt", w, model="planted")
    return open_dictionary(f"folder/{folder}#target=1", Workspace(roots=(tmp_path,)))


def inputs(model):
    """What passes at both hooks: (token, layer, d)."""
    both = [model.activations(ROWS, f"blocks.{layer}.hook_resid_mid") for layer in (0, 1)]
    return np.stack(both, axis=2).reshape(-1, 2, 8)


def test_a_block_holds_the_features_of_all_layers_on_their_own_inputs(whole, model, w, device):
    block = Encoder(whole, device=device).block(model, ROWS)
    found = np.zeros((ROWS.size, 2 * N))
    found[np.repeat(np.arange(ROWS.size), np.diff(block.ends, prepend=0)), block.features] = block.acts
    np.testing.assert_allclose(found, acts_of(w, inputs(model)).reshape(ROWS.size, -1), atol=1e-5)


def test_errors_and_variance_explained_compare_the_sum_of_all_layers_with_the_target(whole, model, w, device):
    target = model.activations(ROWS, "blocks.1.hook_mlp_out").reshape(-1, 8).astype(np.float64)
    error = ((target - output(w, inputs(model), 1)) ** 2).sum()
    fve = 1 - error / ((target - target.mean(axis=0)) ** 2).sum()
    slow = error_by_position(whole, model, ROWS, context_size=7).totals().iloc[0]
    fast = activation_pass(whole, model, ROWS, None, block_rows=4, device=device).totals(with_first=True)
    assert slow["fve"] == pytest.approx(fve, rel=1e-5)
    assert fast["fve"] == pytest.approx(fve, rel=1e-5)


def test_what_all_layers_give_is_put_in_at_the_target(whole, model, w):
    import torch

    found = spliced_loss(whole, model, ROWS)
    new = torch.from_numpy(output(w, inputs(model), 1).astype(np.float32)).reshape(*ROWS.shape, 8)
    with torch.no_grad():
        hook = ("blocks.1.hook_mlp_out", lambda old, hook: new)
        logits = model.hooked.run_with_hooks(torch.from_numpy(ROWS), fwd_hooks=[hook])
    log_p = logits.log_softmax(-1).numpy()
    ce = -np.take_along_axis(log_p[:, :-1], ROWS[:, 1:, None], axis=-1)[..., 0]
    assert np.nanmean(found.ce_replaced[0]) == pytest.approx(ce.mean(), rel=1e-5)


def test_positions_are_read_from_text_and_the_reason_is_said(whole, model):
    method, why = choose_method(whole, model)
    assert (method, why) == ("corpus", "From corpus text: the dictionary reads 2 places at once.")
    assert len(position_statistics(whole, model, rows=ROWS).mean) == 2 * N


def test_a_model_without_one_of_the_places_does_not_fit(whole, tmp_path):
    with pytest.raises(DoesNotFitError, match=r"blocks.1.hook_resid_mid"):
        check_fit(whole.config, planted_model(tmp_path / "one", n_layers=1))
    with pytest.raises(DoesNotFitError, match=r"reads vectors of width 16, but blocks.0.*and blocks.1.* has 32"):
        check_fit(whole.config, planted_model(tmp_path / "wide", d_model=16))
