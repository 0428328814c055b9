"""What edited runs predict: to the last bit where nothing changes, known answers, and a whole run as their double."""

import numpy as np
import pytest

from core.activations import spliced_runs
from core.activations.spliced_loss import spliced_loss
from core.devices.device import CPU
from core.errors import CancelledError, CorpusError, DoesNotFitError, OutOfRangeError
from core.interventions.edits import Edit
from core.interventions.runs import EditedRuns, Push
from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from tests.doubles import planted_card
from tests.doubles.activation_rows import ROWS, planted
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.tiny_models import write_tiny
from tests.doubles.watched import Watched

HOOK, OUTPUT = "blocks.1.hook_resid_pre", "ln_final.hook_normalized"
NOTHING = Edit(())
TEXT = ROWS[:2, :5]


def basis_dictionary(hook: str, **options):
    """[Q; -Q]: each coordinate in a rotated basis has one feature for each sign, so x_hat is x."""
    Q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))
    W_dec = np.concatenate([Q, -Q])
    tensors = {"W_dec": W_dec, "W_enc": W_dec.T, "b_enc": np.zeros(16), "b_dec": np.zeros(8)}
    return planted_dictionary(d_sae=16, tensors=tensors, hook_name=hook, **options)


def reading_model(tmp_path):
    """Token v's logit is coordinate v of what the unembedding reads; tokens from 8 on have logit 0."""
    W_U = np.zeros((8, 257))
    W_U[range(8), range(8)] = 1
    weights = {"unembed.W_U": W_U, "ln_final.w": np.ones(8), "ln_final.b": np.zeros(8)}
    return planted_model(tmp_path, tensors=weights)


@pytest.mark.parametrize("n_edits", [1, 2, 3, 9, 200])
@pytest.mark.parametrize("shape", [(1, 2), (1, 5), (2, 7)])
def test_no_edit_is_the_plain_run_to_the_last_bit(tmp_path, n_edits, shape):
    import torch

    model, rows = planted_model(tmp_path), ROWS[: shape[0], : shape[1]]
    runs = EditedRuns(planted("jumprelu", hook_name=HOOK), model, rows)
    last = (0, shape[1] - 1)
    found = runs.effects([*[Edit((1,), "add", 3.0)] * (n_edits - 1), NOTHING], at=[last])
    assert (found.log_p_change[-1, :, :-1] == 0).all()
    assert (found.kl[-1] == 0).all()
    np.testing.assert_array_equal(found.last[-1], found.plain_last[-1])
    alone = runs.effects([NOTHING], at=[last]).last
    plain = model.running.read(torch.from_numpy(rows), [LAST])[LAST][last].numpy()
    np.testing.assert_array_equal(alone[0, 0], plain)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "gemma2"])
def test_no_edit_of_a_hugging_face_model_is_its_plain_run_to_the_last_bit(tmp_path, family):
    import torch

    model = LanguageModel(write_tiny(family, tmp_path))
    dictionary = planted_dictionary(d_in=32, d_sae=40, hook_name="blocks.1.hook_resid_pre")
    rows = ROWS[:1]
    found = EditedRuns(dictionary, model, rows).effects([Edit((1,), "clamp", 4.0), NOTHING, NOTHING], at=[(0, 6)])
    assert (found.kl[1:] == 0).all()
    assert found.kl[0].max() > 0
    alone = EditedRuns(dictionary, model, rows).effects([NOTHING], at=[(0, 6)])
    np.testing.assert_array_equal(
        alone.last[0, 0], model.running.read(torch.from_numpy(rows), [LAST])[LAST][0, 6].numpy()
    )


@pytest.mark.parametrize("architecture", ["standard", "topk", "transcoder", "temporal"])
def test_without_the_error_no_edit_is_the_spliced_reconstruction(tmp_path, architecture):
    dictionary, model = planted(architecture, hook_name=HOOK), planted_model(tmp_path)
    if architecture == "transcoder":
        dictionary = planted(architecture, hook_name="blocks.0.hook_resid_mid")
    spliced = spliced_loss(dictionary, model, TEXT)
    found = EditedRuns(dictionary, model, TEXT).effects([NOTHING], error=False)
    ce = -(found.log_p + found.log_p_change[0])[:, :-1].mean(axis=0)
    np.testing.assert_allclose(ce, spliced.ce_replaced[0, :-1], rtol=1e-6)
    np.testing.assert_allclose(found.kl[0].mean(axis=0), spliced.kl_replaced[0], rtol=1e-5, atol=1e-9)


def test_ablating_the_only_active_feature_of_a_basis_and_its_negative_subtracts_it(tmp_path):
    model = reading_model(tmp_path)
    runs = EditedRuns(basis_dictionary(OUTPUT), model, TEXT)
    row, position, feature = 1, 3, int(runs.acts[1, 3].argmax())
    written = runs.written(Edit((feature,), positions=(position,)))[row, position]
    expected = -runs.acts[row, position, feature] * runs.dictionary.W_dec[feature]
    np.testing.assert_allclose(written, expected, atol=2e-6)
    # All features but one at zero: what is left is that feature, so ablating it leaves nothing but the bias.
    others = tuple(i for i in range(16) if i != feature)
    left = runs._x[row, position] + runs.written(Edit(others))[row, position]
    np.testing.assert_allclose(left, -expected, atol=2e-6)


def test_a_known_unembedding_gives_the_predicted_change_of_logits_exactly(tmp_path):
    runs = EditedRuns(basis_dictionary(OUTPUT), reading_model(tmp_path), TEXT)
    edit = Edit((2, 11), "add", 1.5, positions=(4,))
    found = runs.effects([edit], at=[(0, 4), (0, 3)])
    logits, plain = runs.logits(found.last[0]), runs.logits(found.plain_last[0])
    np.testing.assert_array_equal(logits[0, :8], plain[0, :8] + runs.written(edit)[0, 4])
    np.testing.assert_array_equal(logits[0, 8:], 0)
    np.testing.assert_array_equal(logits[1], plain[1])
    np.testing.assert_allclose(runs.written(edit)[0, 4], 1.5 * runs.dictionary.W_dec[[2, 11]].sum(axis=0), atol=1e-6)


def test_steering_a_row_planted_on_one_token_raises_that_token_monotonically(tmp_path):
    W_dec = np.eye(8)[[5] * 12] * np.linspace(0.5, 1, 12)[:, None]
    dictionary = planted_dictionary(tensors={"W_dec": W_dec}, hook_name=OUTPUT, fold_decoder_norms=False)
    runs = EditedRuns(dictionary, reading_model(tmp_path), TEXT)
    doses = np.linspace(-4, 8, 25)
    found = runs.effects([Edit((3,), "add", dose) for dose in doses], at=[(0, 4)])
    logits = np.array([runs.logits(last)[0] for last in found.last])
    log_p = logits[:, 5] - np.log(np.exp(logits.astype(float)).sum(axis=1))
    assert (np.diff(log_p) > 0).all()


def test_conditional_edits_touch_only_the_tokens_they_should(tmp_path):
    runs = EditedRuns(planted("standard", hook_name=HOOK), planted_model(tmp_path), ROWS)
    for where in range(12):
        fires = runs.acts[..., where] != 0
        changed = (runs.written(Edit((4,), "add", 2.0, only_where=where)) != 0).any(axis=-1)
        np.testing.assert_array_equal(changed, fires)
    found = runs.effects([Edit((4,), "add", 2.0, positions=(3,))])
    assert (found.kl[0, :, :3] == 0).all()
    assert (found.kl[0, :, 3] > 0).all()
    kept = np.ones(ROWS.shape, bool)
    kept[:, :2] = False
    runs = EditedRuns(runs.dictionary, runs.model, ROWS, may_change=kept)
    found = runs.effects([Edit((4,), "add", 2.0), Push(np.arange(8, dtype=np.float32), np.ones(ROWS.shape))])
    assert (found.kl[..., :2] == 0).all()
    assert (found.kl[..., 2:] > 0).all()
    assert (runs.effects([NOTHING], error=False).kl[..., :2] == 0).all()


@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "abstopk", "jumprelu", "matching_pursuit"])
@pytest.mark.parametrize("normalised", ["none", "layer_norm", "constant_norm_rescale"])
def test_what_an_edit_writes_is_the_change_of_the_reconstruction(tmp_path, architecture, normalised):
    how = {"fold_decoder_norms": False, "rescale_acts_by_decoder_norm": architecture == "topk"}
    dictionary = planted(architecture, hook_name=HOOK, normalize_activations=normalised, **how)
    runs = EditedRuns(dictionary, planted_model(tmp_path), TEXT)
    ablated = runs.written(Edit(tuple(range(12))))
    # Without any feature, what is left of x_hat is the bias, in the scale of the input.
    left = dictionary.reconstruct(runs._x) + ablated
    x = runs._x.astype(float)
    bias = 0 if architecture == "matching_pursuit" and not dictionary.config.apply_b_dec_to_input else dictionary.b_dec
    if normalised == "layer_norm":
        bias = bias * x.std(axis=-1, ddof=1, keepdims=True) + x.mean(axis=-1, keepdims=True)
    if normalised == "constant_norm_rescale":
        bias = bias * np.linalg.norm(x, axis=-1, keepdims=True) / np.sqrt(8)
    np.testing.assert_allclose(left, np.broadcast_to(bias, left.shape), atol=1e-5)


def test_stacked_runs_are_whole_runs_with_the_changed_value_at_the_hook(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(spliced_runs, "_TOKENS_PER_PASS", 3 * TEXT.size)
    monkeypatch.setattr(spliced_runs, "_FLOATS_KEPT", 1)
    dictionary, model = planted("transcoder", hook_name="blocks.0.hook_resid_mid"), planted_model(tmp_path)
    runs, watched = EditedRuns(dictionary, model, TEXT), Watched()
    changes = [Edit((i,), "add", 1.0 + i) for i in range(6)]
    changes += [Push(np.arange(8, dtype=np.float32), np.array([[0, 1, 0, -2, 0.5]] * 2))]
    found = runs.effects(changes, at=[(1, 2)], progress=watched)
    assert found.kl.shape == (7, *TEXT.shape)
    for i, change in enumerate(changes):
        delta = runs.written(change) if i < 6 else change.sizes[..., None] * change.direction
        put = torch.from_numpy(np.asarray(delta, np.float32))
        with torch.no_grad():
            logits = model.hooked.run_with_hooks(
                torch.from_numpy(TEXT), fwd_hooks=[("blocks.0.hook_mlp_out", lambda old, hook, put=put: old + put)]
            ).double()
            before = model.hooked(torch.from_numpy(TEXT)).double()
        log_p, plain = (each.log_softmax(-1).numpy() for each in (logits, before))
        np.testing.assert_allclose(found.kl[i], (np.exp(plain) * (plain - log_p)).sum(-1), rtol=1e-3, atol=1e-6)
        of_next = np.take_along_axis(log_p - plain, np.roll(TEXT, -1, axis=1)[..., None], -1)[..., 0]
        np.testing.assert_allclose(found.log_p_change[i, :, :-1], of_next[:, :-1], atol=2e-6)
        np.testing.assert_allclose(runs.logits(found.last[i])[0], logits[1, 2], atol=1e-5)


def test_a_change_that_overflows_says_so_and_spoils_no_other(tmp_path):
    runs = EditedRuns(planted("standard", hook_name=HOOK), planted_model(tmp_path), TEXT)
    found = runs.effects([Edit((1,), "add", 2.0), Edit((1,), "add", 1e38), Edit((1,), "add", 1e300), NOTHING])
    assert found.overflows.tolist() == [False, True, True, False]
    assert np.isnan(found.kl[1:3]).all()
    assert np.isfinite(found.log_p_change[[0, 3], :, :-1]).all()


def test_what_cannot_be_run_is_said_in_words(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard", hook_name=HOOK)
    with pytest.raises(CorpusError, match="hold no next token whose probability could change"):
        EditedRuns(dictionary, model, ROWS[:1, :1])
    with pytest.raises(CorpusError, match="hold no next token"):
        EditedRuns(dictionary, model, ROWS[:0])
    with pytest.raises(DoesNotFitError, match="its context is 12"):
        EditedRuns(dictionary, model, np.zeros((1, 13), np.int64))
    with pytest.raises(DoesNotFitError, match="no hook"):
        EditedRuns(planted("standard", hook_name="blocks.7.hook_resid_pre"), model, ROWS)
    with pytest.raises(DoesNotFitError, match="one layer of a cross-layer transcoder"):
        EditedRuns(planted("standard", hook_name=HOOK, metadata={"reconstructs": False}), model, ROWS)
    with pytest.raises(OutOfRangeError):
        EditedRuns(dictionary, model, ROWS).effects([Edit((12,))])
    with pytest.raises(CancelledError):
        EditedRuns(dictionary, model, ROWS).effects([NOTHING], progress=Watched(stop_at_report=1))


@pytest.mark.parametrize("hook", [HOOK, OUTPUT])
def test_edits_on_a_device_change_what_they_change_on_the_cpu_and_no_edit_changes_no_bit(tmp_path, hook, device):
    dictionary, model = planted("jumprelu", hook_name=hook), planted_model(tmp_path)
    edits = [Edit((1,), "add", 3.0), Edit((2, 5)), Push(np.arange(8, dtype=np.float32), np.ones(TEXT.shape)), NOTHING]
    found, expected = (EditedRuns(dictionary, model, TEXT, device=where) for where in (device, CPU))
    at = [(1, 3)]
    effects, slow = (runs.effects(edits, at=at) for runs in (found, expected))
    for name in ("log_p", "log_p_change", "kl", "last", "plain_last"):
        np.testing.assert_allclose(getattr(effects, name), getattr(slow, name), rtol=1e-4, atol=1e-5, err_msg=name)
    assert (effects.log_p_change[-1, :, :-1] == 0).all()
    assert (effects.kl[-1] == 0).all()
    assert np.abs(slow.log_p_change[:3, :, :-1]).max(axis=(1, 2)).min() > 1e-3
    np.testing.assert_allclose(found.logits(effects.last[0]), expected.logits(slow.last[0]), rtol=1e-4, atol=1e-4)


def test_a_card_that_fails_while_edits_run_is_named(tmp_path, monkeypatch):
    from core.devices.device import DeviceError

    planted_card.put_in(monkeypatch)
    dictionary, model = planted("jumprelu", hook_name=HOOK), planted_model(tmp_path)
    runs = EditedRuns(dictionary, model, TEXT, device=planted_card.CARD)

    def failing(*_, **__):
        raise RuntimeError(planted_card.FAULT)

    monkeypatch.setattr(spliced_runs.SplicedRuns, "_run", failing)
    with pytest.raises(DeviceError, match=r"Planted card \(cuda:0\) failed"):
        runs.effects([NOTHING])
