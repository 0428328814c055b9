"""Principal components against a singular value decomposition in float64, on every device."""

import numpy as np
import pytest

from core.devices.device import CPU
from core.maths.principal_axes import principal_axes
from core.maths.unit_rows import unit_rows


def planted(n: int = 300, d: int = 12) -> np.ndarray:
    """Draw directions of clearly different axes; two rows are damaged, one is zero, one is a copy."""
    rows = np.random.default_rng(0).normal(1, 2.0 ** -np.arange(d), (n, d)).astype(np.float32)
    rows[5, 2], rows[9, 0], rows[7] = np.nan, np.inf, 0
    rows[11] = rows[12]
    return rows


def by_decomposition(rows: np.ndarray, n_axes: int) -> np.ndarray:
    out = np.full((len(rows), n_axes), np.nan)
    there = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
    once = there & (np.arange(len(rows)) != 11)
    unit = unit_rows(rows, np.float64)
    mean = unit[once].mean(axis=0)
    centred = unit[once] - mean
    axes = np.linalg.svd(centred, full_matrices=False)[2][:n_axes]
    axes *= np.sign(axes[np.arange(n_axes), np.abs(axes).argmax(axis=1)])[:, None]
    out[there] = (unit[there] - mean) @ axes.T
    return out


@pytest.mark.parametrize("block", [50, 4096])
def test_coordinates_are_those_of_a_singular_value_decomposition(monkeypatch, block, device):
    for where in ["principal_axes", "on_device"][: 1 + device.runs_kernels]:
        monkeypatch.setattr(f"core.maths.{where}._BLOCK", block)
    found = principal_axes(planted(), 4, device=device)
    np.testing.assert_allclose(found, by_decomposition(planted(), 4), atol=1e-12)


def test_axes_beyond_the_width_are_zero(device):
    found = principal_axes(planted(d=3), 5, device=device)
    assert not np.nan_to_num(found[:, 3:]).any()
    assert np.abs(np.nan_to_num(found[:, :3])).max(axis=0).min() > 0


def test_nothing_finite_has_no_coordinates(device):
    assert np.isnan(principal_axes(np.full((3, 4), np.nan, np.float32), 2, device=device)).all()
    assert principal_axes(np.zeros((0, 4), np.float32), 2, device=device).shape == (0, 2)


def test_devices_agree_to_float64(device):
    expected = principal_axes(planted(), 3, device=CPU)
    found = principal_axes(planted(), 3, device=device)
    np.testing.assert_allclose(found, expected, atol=1e-13)
