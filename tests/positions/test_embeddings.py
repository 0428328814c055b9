"""The geometry of position vectors, on planted ones."""

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.positions.embeddings import (
    Nearest,
    PositionPCA,
    cosine_to_positions,
    nearest_position,
    position_pca,
    position_self_similarity,
    project,
)

RNG = np.random.default_rng(0)
W_POS = RNG.normal(size=(11, 6)).astype(np.float32)


def cosine(a, b) -> float:
    lengths = np.linalg.norm(a.astype(float)) * np.linalg.norm(b.astype(float))
    return float(a.astype(float) @ b.astype(float) / lengths) if lengths else np.nan


def helix(n: int, d: int) -> np.ndarray:
    """Points of equal length on a circle and a line, turned into d dimensions."""
    angle = np.linspace(0, 4, n)
    points = np.stack([2 * np.cos(angle), 2 * np.sin(angle), np.linspace(-1, 1, n)], axis=1)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(d, 3)))
    return points @ turn.T


def test_a_helix_in_three_dimensions_is_found_whole():
    W_pos = helix(20, 9)
    pca = position_pca(W_pos, last=20, unit_norm=False)
    assert pca.explained[:3].sum() == pytest.approx(1)
    assert pca.coordinates.shape == (19, 3)
    between = np.linalg.norm(pca.coordinates[0] - pca.coordinates[12])
    assert between == pytest.approx(np.linalg.norm(W_pos[1] - W_pos[13]))


@pytest.mark.parametrize("unit_norm", [True, False])
def test_axes_are_the_covariance_eigenvectors_of_the_chosen_rows(unit_norm):
    pca = position_pca(W_POS, first=2, last=9, unit_norm=unit_norm, n_components=4)
    rows = [row / np.linalg.norm(row) if unit_norm else row for row in W_POS[2:9].astype(float)]
    values, vectors = np.linalg.eigh(np.cov(np.array(rows).T))
    assert pca.explained[:4] == pytest.approx(values[::-1][:4] / values.sum())
    assert abs(pca.components @ vectors[:, ::-1][:, :4]) == pytest.approx(np.eye(4), abs=1e-7)
    assert pca.mean == pytest.approx(np.mean(rows, axis=0))


def test_unit_norm_drops_what_is_length_alone():
    W_pos = np.arange(1, 8)[:, None] * np.array([[0.6, 0.8, 0.0]], np.float32)  # one direction, seven lengths
    assert position_pca(W_pos, last=7).explained == pytest.approx(0)
    raw = position_pca(W_pos, last=7, unit_norm=False)
    assert raw.explained[0] == pytest.approx(1)
    assert raw.components[0] == pytest.approx([0.6, 0.8, 0], abs=1e-6)


def test_the_largest_entry_of_every_axis_is_positive():
    for W_pos in (W_POS, -W_POS):
        axes = position_pca(W_pos, last=11, n_components=5).components
        assert (axes[np.arange(5), np.abs(axes).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("unit_norm", [True, False])
def test_a_feature_that_writes_a_position_lands_on_its_dot(unit_norm):
    pca = position_pca(W_POS, last=11, unit_norm=unit_norm)
    rows = W_POS[[4]] * (7 if unit_norm else 1)
    assert project(pca, rows)[0] == pytest.approx(pca.coordinates[3], abs=1e-6)  # row 0 is position 1


@pytest.mark.parametrize("wrong", [{"last": 12}, {"first": -1, "last": 5}, {"last": 4}, {"last": 9, "n_components": 7}])
def test_axes_that_do_not_exist_are_refused(wrong):
    with pytest.raises(DoesNotFitError, match=r"W_pos of shape \(11, 6\).*Choose a longer range or fewer axes"):
        position_pca(W_POS, **wrong)


def test_cosines_match_a_double_loop_and_are_none_for_a_zero_row():
    rows = np.concatenate([RNG.normal(size=(4, 6)), np.zeros((1, 6))]).astype(np.float32)
    expected = [[cosine(row, position) for position in W_POS] for row in rows]
    assert cosine_to_positions(rows, W_POS) == pytest.approx(np.array(expected), abs=1e-6, nan_ok=True)
    assert np.diag(position_self_similarity(W_POS)) == pytest.approx(1, abs=1e-6)


def test_a_row_too_short_to_square_still_has_a_direction():
    assert cosine_to_positions(W_POS[:1] * np.float32(1e-30), W_POS)[0, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("block", [1, 3, 64])
def test_the_nearest_position_is_that_of_a_loop_at_any_block_size(block):
    rows = np.concatenate([W_POS[[5]] * 3, -W_POS[[2]], np.zeros((1, 6)), RNG.normal(size=(5, 6))]).astype(np.float32)
    found = nearest_position(rows, W_POS, block=block)
    loops = [[cosine(row, position) for position in W_POS] for row in rows]
    assert found.index.tolist() == [-1 if np.isnan(row[0]) else int(np.argmax(row)) for row in loops]
    assert found.cosine == pytest.approx([max(row) for row in loops], abs=1e-6, nan_ok=True)
    assert found.index[0] == 5
    assert found.index[1] != 2  # signed: the opposite direction is far
    assert (np.isnan(found.cosine[2]), found.index[2]) == (True, -1)


def test_of_equal_positions_the_first_is_the_nearest():
    rng = np.random.default_rng(2)
    W_pos = rng.normal(size=(61, 48)).astype(np.float32)
    W_pos[[17, 30, 44, 60]] = W_pos[9]  # as in rows that were never trained
    found = nearest_position(W_pos[9] + 0.05 * rng.normal(size=(203, 48)).astype(np.float32), W_pos)
    assert (found.index == 9).all()


def test_keys_tell_settings_apart():
    keys = {PositionPCA.key("m", first=1, last=8, unit_norm=u, n_components=n) for u in (True, False) for n in (3, 4)}
    keys |= {Nearest.key("w", "m", of=side, to="position", context=8) for side in ("decoder", "encoder")}
    assert len(keys) == 6
