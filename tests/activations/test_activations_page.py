"""The activations page on a planted workspace, run by AppTest through the router."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.activations.spliced_loss import LossByPosition, SplicedLoss
from core.corpus.samples import SampleSettings
from core.devices.device import CPU
from core.dictionaries.sources import Entry
from core.models.language_model import LanguageModel
from core.work.progress import SILENT
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, reading, table, text_of
from tests.doubles.planted import planted_dictionary
from ui.shared.errors import StillRunning
from ui.studies import compute, corpus, opened

TABS = [
    "By position",
    "Deciles",
    "Features",
    "Values of one feature",
    "Error by position",
    "Loss by position",
    "By layer",
]
DICTIONARIES = {"layer0": "blocks.0.hook_resid_pre", "layer1": "blocks.1.hook_resid_pre"}
FEATURE = 8
"""Active at position 0 as well as later."""
RUNS = [2.0, 2.5, 4.0, 3.5]
"""Planted losses: the model as it is, and with x_hat, 0 and the mean in place; a tenth more at each position."""


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that writes a workspace of two layers, opens the page with a query and runs it."""
    planted_pages.read_little_text(monkeypatch)
    # Running the model would import torch; tests of the token pass do that.
    monkeypatch.setattr(LanguageModel, "activations", activations)
    monkeypatch.setattr(
        "core.activations.spliced_loss.token_losses", lambda model, rows, **how: np.zeros(rows[:, 1:].shape)
    )
    monkeypatch.setattr("ui.activations.loss.spliced_loss", planted_spliced)
    monkeypatch.setattr("ui.activations.loss.loss_by_position", planted_loss)
    # Pinned, so that the picker still knows them on a second run.
    pinned = [f"--sae={tmp_path / name}" for name in DICTIONARIES]
    with pages.page(tmp_path, monkeypatch, "activations", *pinned) as run:

        def open_page(query: dict | None = None, *, layer: str = "layer0", **how) -> AppTest:
            if not (tmp_path / "dictionary").exists():
                planted_pages.write_workspace(tmp_path, **how)
                for name, hook_name in DICTIONARIES.items():
                    planted_dictionary(hook_name=hook_name, context_size=planted_pages.C).save(tmp_path / name)
            return run({"sae": planted_pages.id_of(tmp_path, layer)} | (query or {}))

        yield open_page


def activations(model: LanguageModel, tokens: np.ndarray, hook_name: str) -> np.ndarray:
    """What passes at a hook: embeddings, three times as long one layer on."""
    x = model.W_E[tokens]
    if model.positions == "absolute":
        x = x + model.W_pos[: tokens.shape[1]]
    return x * (3 if "blocks.1" in hook_name else 1)


def planted_spliced(dictionary, model, rows, *, left_out=(), progress=SILENT, device=CPU) -> SplicedLoss:
    losses = np.array(RUNS)[:, None] + np.arange(rows.shape[1]) / 10
    return SplicedLoss(losses[0], losses[1:], losses[1:], np.full(rows.shape[1], len(rows)))


def planted_loss(model, rows, *, left_out=(), progress=SILENT, device=CPU) -> LossByPosition:
    n_pos = rows.shape[1] - 1
    return LossByPosition(np.full(n_pos, {"zero": 5.0, "shuffled": 6.0}[model.wpe]), np.full(n_pos, len(rows)))


def dense(at: AppTest, *, wpe: str | None = None, first: int = 1) -> np.ndarray:
    """All activations of the picked dictionary on the page's rows, one line a token, from position `first` on."""
    dictionary = opened.dictionary(at.selectbox(key="sae").value)
    model = opened.model_of(dictionary, wpe=wpe)
    rows = corpus.sample(dictionary, model, SampleSettings()).rows
    acts = dictionary.encode(activations(model, rows, dictionary.config.hook_name))
    return acts[:, first:].reshape(-1, dictionary.d_sae).astype(np.float64)


def said(at: AppTest) -> str:
    return text_of(at, "caption", "info", "error", "markdown")


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value == "Activation values"
    assert at.get("vega_lite_chart") or tab in ("Loss by position", "By layer")


@pytest.mark.parametrize(
    ("query", "first", "wpe"),
    [({}, 1, None), ({"act_first": "true"}, 0, None), ({"act_wpe": "Zero"}, 1, "zero")],
)
def test_the_decile_table_is_that_of_dense_activations_under_every_condition(open_page, query, first, wpe):
    at = open_page({"tab": "Deciles", "act_sort": "Density", "act_least": "300", **query})
    found, acts = table(at, "decile_5"), dense(at, wpe=wpe, first=first)
    count = np.count_nonzero(acts, axis=0)
    kept = np.flatnonzero(count >= 300)
    assert 0 < len(kept) < acts.shape[1]
    assert found["feature"].tolist() == kept[np.lexsort((kept, count[kept]))].tolist()
    for row in found.itertuples():
        values = acts[:, row.feature][acts[:, row.feature] != 0]
        np.testing.assert_allclose([row.decile_1, row.decile_5], np.quantile(values, [0.1, 0.5]), rtol=1e-5)
    assert f"{len(acts):,} tokens, {'without' if first else 'with'} position 0" in said(at)
    assert ("position embedding set to zero" in said(at)) == (wpe == "zero")
    below = sum(np.mean(v) < np.median(v) for v in (acts[:, i][acts[:, i] != 0] for i in kept))
    assert reading(at, "Mean below median").startswith(f"{below} of {len(kept)} features")


def test_one_features_readings_are_those_of_its_dense_activations(open_page):
    at = open_page({"tab": "Values of one feature", "feature": FEATURE})
    values = dense(at)[:, FEATURE]
    values = values[values != 0]
    assert reading(at, "Active tokens") == f"{len(values):,}"
    assert reading(at, "Mean when active") == f"{values.mean():.4g}"
    assert f"{len(values):,} activations at all positions" in said(at)
    assert np.count_nonzero(dense(at, first=0)[:, FEATURE]) > len(values)
    assert reading(at, "Median when active") == f"{np.median(values):.4g}"
    at = open_page({"tab": "Values of one feature", "feature": FEATURE, "act_at": "One position", "act_position": "2"})
    here = np.count_nonzero(dense(at).reshape(-1, planted_pages.C - 1, 12)[:, 1, FEATURE])
    assert f"{here:,} activations at position 2, zeros left out" in said(at)


def test_a_feature_that_is_never_active_says_so(open_page):
    at = open_page({"tab": "Values of one feature", "feature": "3"}, layer="dictionary", scale=0.0)
    assert "Feature 3 is never active on this text (" in said(at)
    assert not at.exception


def test_longer_rows_show_the_error_past_the_training_context(open_page):
    at = open_page({"tab": "Error by position", "act_length": str(planted_pages.N_CTX)})
    assert f"rows of {planted_pages.N_CTX} tokens" in said(at)
    assert f"inside the training context of {planted_pages.C}" in said(at)
    assert " beyond" in said(at)


def test_losses_wait_for_a_button_and_then_stand_beside_each_other(open_page):
    at = open_page({"tab": "Loss by position"})
    assert "This runs the whole model 7 times over" in said(at)
    assert not at.metric
    at.button(key="act_run_losses").click().run()
    assert not at.exception
    inside = np.arange(1, planted_pages.C - 1) / 10
    assert reading(at, "Loss, positions as trained") == f"{(RUNS[0] + inside).mean():.3f}"
    assert reading(at, "Loss, x̂ in place") == f"{(RUNS[1] + inside).mean():.3f}"
    assert reading(at, "Loss, positions zero") == "5.000"
    assert reading(at, "Loss, positions shuffled") == "6.000"
    assert reading(at, "Loss recovered") == f"{(4 - 2.5) / (4 - 2):.3f}"


def test_stored_losses_are_there_at_once_position_by_position(open_page, monkeypatch):
    open_page({"tab": "Loss by position"}).button(key="act_run_losses").click().run()
    shown = []
    monkeypatch.setattr("ui.activations.loss.curve", lambda subject, found, missing: shown.append(found))
    assert not [
        button.key for button in open_page({"tab": "Loss by position"}).button if button.key == "act_run_losses"
    ]
    table, _, n = shown[0]
    inside = np.arange(1, planted_pages.C - 1)  # no loss at the last position, and position 0 does not count
    assert table["position"].tolist() == inside.tolist()
    np.testing.assert_allclose(table["ce_wpe_trained"], RUNS[0] + inside / 10)
    np.testing.assert_allclose(table["ce_with_x_hat"], RUNS[1] + inside / 10)
    assert (table["ce_wpe_zero"] == 5).all()
    assert n == 128 * len(inside)


def test_the_loss_with_the_dictionary_is_shown_before_those_with_other_position_embeddings(open_page, monkeypatch):
    def not_yet(subject, wpe):
        compute.check_may_compute("Loss")
        raise StillRunning

    monkeypatch.setattr("ui.activations.loss.of_model", not_yet)
    at = open_page({"tab": "Loss by position"}).button(key="act_run_losses").click().run()
    assert not at.exception
    assert "Loss, x̂ in place" in [metric.label for metric in at.metric]
    assert "not yet with the position embedding zero · not yet with the position embedding shuffled" in said(at)


@pytest.fixture
def series(tmp_path, monkeypatch):
    """Two layers, as if their source knew that they belong together."""
    found = {name[-1]: Entry(f"folder/{(tmp_path / name).resolve()}", name) for name in DICTIONARIES}
    monkeypatch.setattr("ui.studies.feature_map.series", lambda id: found)


def test_layers_without_a_pass_are_named_with_their_cost_and_run_when_asked_for(open_page, series):
    at = open_page({"tab": "By layer"})
    assert "These layers have no token pass yet: 1." in said(at)
    assert "1 dictionary: " in said(at)
    at.button(key="act_run_layers").click().run()
    assert not at.exception
    assert "Not there yet" not in said(at)
    assert "2 dictionaries: " in said(at)
    assert len(at.get("vega_lite_chart")) == 8


def test_a_dictionary_without_a_series_is_told_so(open_page):
    at = open_page({"tab": "By layer", "sae": "demo/layer2-standard-512", "rows": "1", "length": "16"})
    assert "No other dictionary here differs from this one in the layer alone" in said(at)


def test_rows_of_one_token_leave_nothing_to_count_and_the_page_says_what_to_do(open_page, monkeypatch):
    monkeypatch.setattr("ui.studies.corpus.settings", lambda: SampleSettings(context=1))
    at = open_page()
    assert "No token counts" in said(at)
    at = open_page({"act_first": "true"})
    assert not at.error
    assert at.get("vega_lite_chart")


def test_a_model_without_learned_positions_has_no_choice_of_position_embedding(open_page):
    at = open_page(positional="rotary")
    assert not at.exception
    assert "act_wpe" not in [box.key for box in at.selectbox]
    assert at.get("vega_lite_chart")


def test_what_a_link_says_wrong_falls_back_to_what_there_is(open_page):
    query = {
        "act_wpe": "None",
        "act_sort": "x",
        "act_least": "-1",
        "act_error": "<b>",
        "act_length": "7",
        "feature": "99",
    }
    for tab in ("Deciles", "Error by position"):
        at = open_page({"tab": tab, **query})
        assert not at.exception
        assert at.get("vega_lite_chart")
