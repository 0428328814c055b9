"""Loss and divergence with the reconstruction in place: a dense double, sae-lens' evaluation, known answers."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.activations.spliced_loss import LossByPosition, SplicedLoss, loss_by_position, spliced_loss, token_losses
from core.activations.spliced_runs import SplicedRuns
from core.devices.device import CPU, TORCH_CPU, DeviceError
from core.errors import CancelledError, CorpusError, DoesNotFitError
from tests.doubles import planted_card
from tests.doubles.activation_rows import ROWS, planted
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched

HOOK = "blocks.1.hook_resid_pre"


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def slow(dictionary, model, rows, left_out=()):
    """Return ce (run, row, pos - 1) and kl (run, row, pos) of whole runs, all logits at once, in float64."""
    import torch

    config = dictionary.config
    hook = config.hook_name_out or config.hook_name
    x, target = model.activations(rows, config.hook_name), model.activations(rows, hook)
    keep = ~np.isin(rows, left_out)
    x_hat = np.where(keep[..., None], dictionary.reconstruct(x), target)
    tokens, p = torch.from_numpy(rows), []
    for value in (target, x_hat, np.zeros_like(target), np.broadcast_to(target[keep].mean(0), target.shape)):
        new = torch.from_numpy(np.ascontiguousarray(value, np.float32))
        with torch.no_grad():
            logits = model.hooked.run_with_hooks(
                tokens, fwd_hooks=[(hook, lambda old, hook, new=new: new.reshape(old.shape))]
            )
        p.append(log_softmax(logits.numpy()))
    kl = [(np.exp(p[0]) * (p[0] - other)).sum(-1) for other in p[1:]]
    ce = [-np.take_along_axis(each[:, :-1], rows[:, 1:, None], axis=-1)[..., 0] for each in p]
    return np.array(ce), np.array(kl), keep


@pytest.mark.parametrize(
    ("architecture", "hook"),
    [
        ("standard", "blocks.0.hook_resid_pre"),
        ("topk", HOOK),
        ("jumprelu", "blocks.1.attn.hook_z"),
        ("transcoder", "blocks.0.hook_resid_mid"),
        ("temporal", HOOK),
        ("gated", "ln_final.hook_normalized"),
        ("standard", "hook_embed"),
    ],
)
def test_losses_are_those_of_whole_runs_with_all_logits_at_once(tmp_path, monkeypatch, architecture, hook, device):
    monkeypatch.setattr("core.activations.spliced_loss._TOKENS_PER_RUN", 21)
    monkeypatch.setattr("core.activations.spliced_loss.TILE", 21)
    monkeypatch.setattr("core.activations.spliced_runs._LOGITS_PER_CALL", 257 * 20)
    dictionary, model = planted(architecture, hook_name=hook), planted_model(tmp_path)
    rows, left_out = ROWS.copy(), (0, 256)
    rows[:, 0], rows[2], rows[5, 3] = 0, 256, 0
    found = spliced_loss(dictionary, model, rows, left_out=left_out, device=device)
    ce, kl, keep = slow(dictionary, model, rows, left_out)
    assert found.position_rows.tolist() == keep.sum(axis=0).tolist()
    assert np.isnan([found.ce[0], found.ce[-1], found.kl_replaced[0, 0]]).all()
    curves = np.vstack([found.ce, found.ce_replaced])
    for p in range(1, 7):
        np.testing.assert_allclose(found.kl_replaced[:, p], kl[:, keep[:, p], p].mean(axis=1), rtol=1e-4)
        if p < 6:
            np.testing.assert_allclose(curves[:, p], ce[:, keep[:, p], p].mean(axis=1), rtol=1e-5)
    for with_first in (True, False):
        whole, divergence = ce[:, keep[:, :-1]].mean(axis=1), kl[:, keep].mean(axis=1)
        score = (whole[2] - whole[1]) / (whole[2] - whole[0])
        expected = dict(zip(("ce", "ce_spliced", "ce_zero", "ce_mean"), whole, strict=True))
        expected |= dict(zip(("kl_spliced", "kl_zero", "kl_mean"), divergence, strict=True))
        expected |= {"ce_score": score if whole[2] > whole[0] else np.nan}
        expected |= {"kl_score": (divergence[1] - divergence[0]) / divergence[1]}
        assert found.totals(with_first=with_first) == pytest.approx(expected, rel=1e-3, nan_ok=True)


def test_sae_lens_measures_the_same(tmp_path):
    import torch
    from sae_lens.evals import EvalConfig, run_evals
    from sae_lens.training.activation_scaler import ActivationScaler

    dictionary, model = planted("standard", hook_name=HOOK), planted_model(tmp_path)
    tokens = torch.from_numpy(ROWS)
    given = SimpleNamespace(
        get_batch_tokens=lambda n: tokens, reset_input_dataset=lambda: None, context_size=7, store_batch_size_prompts=11
    )
    settings = EvalConfig(batch_size_prompts=11, n_eval_reconstruction_batches=1, compute_kl=True, compute_ce_loss=True)
    special = tuple(int(i) for i in ROWS[0, 2:4])
    theirs, _ = run_evals(
        dictionary.sae, given, model.hooked, ActivationScaler(), settings, exclude_special_tokens=special
    )
    totals = spliced_loss(dictionary, model, ROWS, left_out=special).totals()
    ce, kl = theirs["model_performance_preservation"], theirs["model_behavior_preservation"]
    names = {"ce": "without_sae", "ce_spliced": "with_sae", "ce_zero": "with_ablation", "ce_score": "score"}
    assert {name: totals[name] for name in names} == pytest.approx(
        {ours: ce[f"ce_loss_{name}"] for ours, name in names.items()}, rel=1e-4
    )
    names = {"kl_spliced": "with_sae", "kl_zero": "with_ablation", "kl_score": "score"}
    assert {name: totals[name] for name in names} == pytest.approx(
        {ours: kl[f"kl_div_{name}"] for ours, name in names.items()}, rel=1e-4
    )


def test_a_basis_and_its_negative_lose_nothing(tmp_path):
    Q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))
    W_dec = np.concatenate([Q, -Q])
    tensors = {"W_dec": W_dec, "W_enc": W_dec.T, "b_enc": np.zeros(16), "b_dec": np.zeros(8)}
    found = spliced_loss(planted_dictionary(d_sae=16, tensors=tensors, hook_name=HOOK), planted_model(tmp_path), ROWS)
    totals = found.totals()
    assert [totals["ce_score"], totals["kl_score"]] == pytest.approx([1, 1], abs=1e-4)
    assert totals["ce_spliced"] == pytest.approx(totals["ce"], abs=1e-5)
    assert totals["kl_spliced"] == pytest.approx(0, abs=1e-5)
    defined = np.isfinite(found.scores()["kl_score"])
    np.testing.assert_allclose(found.scores()["kl_score"][defined], 1, atol=1e-3)


def test_a_model_that_knows_nothing_loses_the_logarithm_of_its_vocabulary(tmp_path):
    model = planted_model(tmp_path, tensors={"unembed.W_U": np.zeros((8, 257))})
    losses = token_losses(model, ROWS)
    assert losses.shape == (11, 6)
    np.testing.assert_allclose(losses, np.log(257), rtol=1e-6)
    totals = spliced_loss(planted("standard"), model, ROWS).totals()
    assert totals["kl_zero"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(totals["ce_score"])


def test_loss_by_position_leaves_out_what_is_not_counted(tmp_path):
    model, left_out = planted_model(tmp_path), (int(ROWS[3, 2]),)
    losses, keep = token_losses(model, ROWS), ROWS[:, :-1] != left_out[0]
    found = loss_by_position(model, ROWS, left_out=left_out)
    assert found.position_rows.tolist() == keep.sum(axis=0).tolist()
    assert found.ce == pytest.approx([losses[keep[:, p], p].mean() for p in range(6)])
    assert found.mean == pytest.approx(losses[keep].mean())


def test_soft_capped_logits_are_capped(tmp_path):
    model = planted_model(tmp_path)
    plain = token_losses(model, ROWS)
    model.hooked.cfg.output_logits_soft_cap = 2.0
    import torch

    with torch.no_grad():
        logits = model.hooked(torch.from_numpy(ROWS)).numpy()
    assert np.abs(logits).max() < 2
    expected = -np.take_along_axis(log_softmax(logits)[:, :-1], ROWS[:, 1:, None], axis=-1)[..., 0]
    np.testing.assert_allclose(token_losses(model, ROWS), expected, rtol=1e-5)
    assert np.abs(plain - expected).max() > 0.1


def test_it_can_be_stopped_at_any_time(tmp_path):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    for report in (1, 2, 3):
        stopped = Watched(stop_at_report=report)
        with pytest.raises(CancelledError):
            spliced_loss(dictionary, model, ROWS, progress=stopped)
        assert len(stopped.told) == report
    watched = Watched()
    spliced_loss(dictionary, model, ROWS, progress=watched)
    assert watched.told[-1] == (154, 154)


def test_what_cannot_be_compared_is_refused(tmp_path):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    with pytest.raises(CorpusError, match=r"Rows of shape \(11, 1\) hold no counted token"):
        spliced_loss(dictionary, model, ROWS[:, :1])
    with pytest.raises(CorpusError, match="hold no counted token"):
        loss_by_position(model, np.zeros((2, 4), int), left_out=(0,))
    with pytest.raises(DoesNotFitError, match="its context is 12"):
        token_losses(model, np.zeros((1, 13), int))
    with pytest.raises(DoesNotFitError, match="Token ids from 257"):
        token_losses(model, np.full((1, 2), 257))
    with pytest.raises(DoesNotFitError, match="width 4"):
        spliced_loss(planted_dictionary(d_in=4), model, ROWS)


def test_results_are_named_by_what_they_depend_on():
    keys = {
        SplicedLoss.key("d", "m", "r"),
        SplicedLoss.key("d", "m", "r", left_out=(1,)),
        SplicedLoss.key("e", "m", "r"),
    }
    keys |= {LossByPosition.key("m", "r"), LossByPosition.key("m", "r", left_out=(2, 1)), LossByPosition.key("n", "r")}
    assert len(keys) == 6
    assert LossByPosition.key("m", "r", left_out=(2, 1)) == LossByPosition.key("m", "r", left_out=(1, 2, 2))


def test_a_models_own_losses_of_a_device_are_those_of_the_cpu(tmp_path, device):
    model = planted_model(tmp_path)
    np.testing.assert_allclose(token_losses(model, ROWS, device=device), token_losses(model, ROWS), rtol=1e-5)
    found, expected = (loss_by_position(model, ROWS, **how) for how in ({"device": device}, {}))
    np.testing.assert_allclose(found.ce, expected.ce, rtol=1e-5)


def test_memory_that_runs_out_halves_the_rows_of_a_run_and_loses_none(tmp_path, monkeypatch):
    import torch

    dictionary, model, tried = planted("standard", hook_name=HOOK), planted_model(tmp_path), []
    expected, compare = spliced_loss(dictionary, model, ROWS), SplicedRuns._compare

    def little_memory(self, *args):
        tried.append(len(self._rows))
        if len(self._rows) > 3:
            raise torch.OutOfMemoryError("planted")
        return compare(self, *args)

    monkeypatch.setattr(SplicedRuns, "_compare", little_memory)
    found = spliced_loss(dictionary, model, ROWS, device=TORCH_CPU)
    assert tried == [11, 5, 2, 2, 2, 2, 2, 1]
    np.testing.assert_allclose(found.ce_replaced, expected.ce_replaced, rtol=1e-5)
    np.testing.assert_allclose(found.kl_replaced, expected.kl_replaced, rtol=1e-4)


def test_a_driver_that_fails_between_runs_is_named(tmp_path, monkeypatch):
    planted_card.put_in(monkeypatch)

    def failing(*args):
        raise RuntimeError(planted_card.FAULT)

    monkeypatch.setattr(SplicedRuns, "_compare", failing)
    with pytest.raises(DeviceError, match=r"Planted card \(cuda:0\) failed: CUDA error"):
        spliced_loss(planted("standard", hook_name=HOOK), planted_model(tmp_path), ROWS, device=planted_card.CARD)


def test_losses_of_a_device_have_names_of_their_own_and_those_of_the_cpu_keep_theirs():
    for key in (lambda **how: SplicedLoss.key("d", "m", "r", **how), lambda **how: LossByPosition.key("m", "r", **how)):
        assert key(device=CPU) == key()
        assert len({key(), key(device=TORCH_CPU), key(device=planted_card.CARD)}) == 3
