"""Error by position: exact dictionaries, known answers, and a slow double."""

import dataclasses

import numpy as np
import pytest

from core.activations.reconstruction import error_by_position
from core.errors import CancelledError, CorpusError, DoesNotFitError
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched

ROWS = np.random.default_rng(1).integers(0, 257, size=(5, 10))


def scaled(factor: float, *, context_size: int | None = 3):
    """A dictionary of width 1 with x_hat = factor * x for positive x, else 0."""
    tensors = {"W_enc": [[1]], "W_dec": [[factor]], "b_enc": [0], "b_dec": [0]}
    return planted_dictionary(d_in=1, d_sae=1, context_size=context_size, tensors=as_arrays(tensors))


def line(tmp_path, values: list[float]):
    """A model of width 1 in which token t is the number values[t] at every position."""
    tensors = {
        "embed.W_E": [[v] for v in values],
        "pos_embed.W_pos": np.zeros((12, 1)),
        "unembed.W_U": [[0.0] * len(values)],
    }
    return planted_model(tmp_path, d_model=1, n_heads=1, d_vocab=len(values), tensors=as_arrays(tensors))


def as_arrays(tensors: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.float32) for name, value in tensors.items()}


def test_a_basis_and_its_negative_reconstruct_exactly(tmp_path):
    Q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))
    W_dec = np.concatenate([Q, -Q])
    tensors = {"W_dec": W_dec, "W_enc": W_dec.T, "b_enc": np.zeros(16), "b_dec": np.zeros(8)}
    dictionary = planted_dictionary(d_sae=16, tensors=tensors)
    found = error_by_position(dictionary, planted_model(tmp_path), ROWS)
    assert found.mse == pytest.approx(0, abs=1e-10)
    assert found.nmse == pytest.approx(0, abs=1e-10)
    assert found.cosine == pytest.approx(1)
    assert found.totals()["fve"].tolist() == pytest.approx([1, 1])
    assert found.l0.tolist() == [8] * 10  # each coordinate fires one of the pair


def test_fve_divides_once_at_the_end(tmp_path):
    found = error_by_position(scaled(2 / 3), line(tmp_path, [0, 3]), np.array([[0, 0, 1]]))
    inside = found.totals().iloc[0]
    assert inside["fve"] == pytest.approx(5 / 6)  # a mean of ratios gives 11/12
    assert inside["mse"] == pytest.approx(1 / 3)
    assert inside["l0"] == pytest.approx(1 / 3)
    assert inside["tokens"] == 3
    assert found.nmse == pytest.approx([0, 0, 1 / 4])


def test_predicting_the_mean_explains_nothing_however_far_it_is_from_0(tmp_path):
    values = [1000.0, 1001.0, 1002.0]
    tensors = {"W_enc": [[0]], "W_dec": [[1]], "b_enc": [0], "b_dec": [1001]}
    mean = planted_dictionary(d_in=1, d_sae=1, context_size=3, tensors=as_arrays(tensors))
    found = error_by_position(mean, line(tmp_path, values), np.array([[0, 1, 2], [2, 1, 0]]))
    assert found.totals()["fve"][0] == pytest.approx(0, abs=1e-9)


def test_a_small_variance_about_a_large_mean_is_not_lost(tmp_path):
    values = np.float32(1e6) + np.array([0.125, 1.3, 2.7], np.float32)
    rows = np.array([[0, 1, 2], [2, 2, 0]])
    found = error_by_position(scaled(0.5), line(tmp_path, values.tolist()), rows)
    x = values[rows].astype(float)
    assert found.variance == pytest.approx(((x - x.mean()) ** 2).mean(axis=0), rel=1e-9)


def test_an_input_that_never_changes_has_no_fve(tmp_path):
    found = error_by_position(scaled(0.5), line(tmp_path, [0.3, 0.7]), np.array([[1, 1, 1]]))
    assert np.isnan(found.totals()["fve"][0])
    assert np.isnan(found.nmse).all()


@pytest.mark.parametrize(("architecture", "batch"), [("standard", 2), ("topk", 16), ("transcoder", 5)])
def test_curves_match_a_double_loop_at_any_batch_size(tmp_path, monkeypatch, architecture, batch, device):
    monkeypatch.setattr("core.activations.reconstruction._FLOATS_PER_CALL", 100)  # several calls for a batch
    dictionary, model = planted_dictionary(architecture), planted_model(tmp_path)
    found = error_by_position(dictionary, model, ROWS, batch=batch, first=1, device=device)
    x = model.activations(ROWS, "blocks.0.hook_resid_pre")
    target = model.activations(ROWS, "blocks.0.hook_mlp_out") if architecture == "transcoder" else x
    mean = target[:, 1:6].reshape(-1, 8).astype(float).mean(axis=0)  # context 6, position 0 left out
    expected = {name: np.zeros((10, 5)) for name in ("mse", "variance", "l2", "norm", "norm_hat", "cosine", "l0")}
    for p in range(10):
        for r in range(5):
            y, y_hat = target[r, p].astype(float), dictionary.reconstruct(x[r, [p]])[0].astype(float)
            values = {"mse": np.mean((y - y_hat) ** 2), "variance": np.mean((y - mean) ** 2)}
            values |= {"l2": np.linalg.norm(y - y_hat), "norm": np.linalg.norm(y), "norm_hat": np.linalg.norm(y_hat)}
            values |= {"cosine": y @ y_hat / np.linalg.norm(y) / np.linalg.norm(y_hat)}
            values |= {"l0": np.count_nonzero(dictionary.encode(x[r, [p]]))}
            for name, value in values.items():
                expected[name][p, r] = value
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value.mean(axis=1), rel=1e-5), name
    parts = {"inside": slice(1, 6), "beyond": slice(6, 10)}
    for where, total in found.totals().set_index("where").iterrows():
        part = parts[where]
        assert total["fve"] == pytest.approx(1 - expected["mse"][part].sum() / expected["variance"][part].sum())
        assert total["mse"] == pytest.approx(expected["mse"][part].mean())
        assert total["l0"] == pytest.approx(expected["l0"][part].mean())


def test_the_random_baseline_is_what_random_directions_give(tmp_path):
    dictionary, model = planted_dictionary(), planted_model(tmp_path)
    found = error_by_position(dictionary, model, ROWS)
    x = model.activations(ROWS, "blocks.0.hook_resid_pre")[:, 4].astype(float)
    length = np.linalg.norm(dictionary.reconstruct(x.astype(np.float32)), axis=1)[:, None]
    drawn = np.random.default_rng(3).normal(size=(4000, *x.shape))
    drawn *= length / np.linalg.norm(drawn, axis=2, keepdims=True)
    assert found.mse_random[4] == pytest.approx(((x - drawn) ** 2).mean(), rel=0.01)
    assert found.l2_random[4] == pytest.approx(np.linalg.norm(x - drawn, axis=2).mean(), rel=1 / 64)
    assert found.nmse_random[4] == pytest.approx(found.nmse[4] * found.mse_random[4] / found.mse[4])


def test_context_size_is_the_dictionarys_else_the_rows_length(tmp_path):
    model = planted_model(tmp_path)
    asked = error_by_position(planted_dictionary(context_size=6), model, ROWS, context_size=4)
    assert asked.to_frame()["beyond"].tolist() == [False] * 4 + [True] * 6
    for size in (None, 99):
        whole = error_by_position(planted_dictionary(context_size=size), model, ROWS)
        assert not whole.to_frame()["beyond"].any()
        beyond = whole.totals().iloc[1]
        assert beyond["tokens"] == 0
        assert beyond[["fve", "mse", "l0"]].isna().all()


def test_progress_is_told_and_can_stop(tmp_path):
    watched = Watched(stop_at=4)

    with pytest.raises(CancelledError):
        error_by_position(planted_dictionary(), planted_model(tmp_path), ROWS, batch=2, progress=watched)
    assert watched.told == [(2, 5), (4, 5)]


def test_what_does_not_fit_is_refused(tmp_path):
    model = planted_model(tmp_path)
    with pytest.raises(DoesNotFitError, match="width 5"):
        error_by_position(planted_dictionary(d_in=5), model, ROWS)
    wrong_out = planted_dictionary("transcoder")
    wrong_out.config = dataclasses.replace(wrong_out.config, hook_name_out="blocks.0.mlp.hook_post")
    with pytest.raises(DoesNotFitError, match=r"writes vectors of width 8, but blocks\.0\.mlp\.hook_post"):
        error_by_position(wrong_out, model, ROWS)
    with pytest.raises(CorpusError, match="0 rows of 10 tokens"):
        error_by_position(planted_dictionary(), model, ROWS[:0])
    with pytest.raises(CorpusError, match="no position from 7 to 5"):
        error_by_position(planted_dictionary(), model, ROWS, first=7)
    with pytest.raises(CorpusError, match="no position from -1 to 5"):
        error_by_position(planted_dictionary(), model, ROWS, first=-1)
