"""Tables behind the positional charts."""

import numpy as np
import pandas as pd
import pytest

from core.catalogue import STATISTICS
from core.corpus.streams import rows_sha256
from core.positions import tables
from core.positions.units import UnitCurves, unit_curves
from tests.doubles.planted import planted_model
from ui.positions import charts


def test_matrix_cells_leave_out_zeros_unless_asked():
    values = np.array([[0.0, 2.0], [3.0, 0.0]])
    cells = tables.matrix_cells(values, ["a", "b"], [7, 8], names=("row", "position", "value"))
    assert cells.to_dict("records") == [
        {"row": "a", "position": 8, "value": 2.0},
        {"row": "b", "position": 7, "value": 3.0},
    ]
    kept = tables.matrix_cells(values, ["a", "b"], [7, 8], names=("r", "c", "v"), keep_zeros=True)
    assert len(kept) == 4


def test_unit_curves_match_a_plain_loop_over_rows(tmp_path):
    model = planted_model(tmp_path)
    rows = np.random.default_rng(0).integers(0, 257, size=(5, 7))
    hook = "blocks.1.mlp.hook_pre"
    found = unit_curves(model, hook, rows, batch=2)
    x = np.stack([model.activations(row[None], hook)[0] for row in rows]).astype(np.float64)
    np.testing.assert_allclose(found.mean, x.mean(0).T, atol=1e-5)
    np.testing.assert_allclose(found.std, x.std(0).T, atol=1e-5)
    between, total = x.mean(0).var(0), x.reshape(-1, x.shape[-1]).var(0)
    np.testing.assert_allclose(found.positional_r2, between / total, atol=1e-5)
    assert found.n_rows == 5


def test_the_table_of_units_says_how_high_each_mean_curve_rises_and_where():
    mean = np.array([[1.0, 1.0, 1.5], [-4.0, -2.0, -7.0]])
    table = UnitCurves(mean, np.full_like(mean, 0.5), n_rows=9).score_table()
    assert table["unit"].tolist() == [1, 0]  # the one that varies more along positions
    assert table["largest_mean_unit"].tolist() == [-2.0, 1.5]
    assert table["peak"].tolist() == [1, 2]
    assert "largest_mean_unit" in STATISTICS
    assert "mean_unit" not in table


def test_rows_are_named_by_content_and_shape():
    rows = np.arange(6).reshape(2, 3)
    assert rows_sha256(rows) == rows_sha256(rows.astype(np.int32))
    assert rows_sha256(rows) != rows_sha256(rows.reshape(3, 2))


@pytest.mark.parametrize(("suggested", "align", "dx"), [(5, "left", 4), (900, "right", -4)])
def test_the_text_of_a_late_elbow_ends_at_its_line(suggested, align, dx):
    ranks = np.arange(1, 1001)
    table = pd.DataFrame({"rank": ranks, "position_score": 1 / ranks, "feature": ranks, "peak": 0})
    texts = [layer for layer in charts.score_rank(table, suggested, suggested).layer if layer.mark.type == "text"]
    assert [(text.mark.align, text.mark.dx) for text in texts] == [(align, dx)]
    assert texts[0].data["text"].tolist() == [f"elbow at {suggested}"]
