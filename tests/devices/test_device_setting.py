"""The setting in the sidebar, and how it reaches the analyses."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.devices import device as devices
from core.devices.device import CPU, Device
from core.workspace import parse_arguments

CARD = Device("cuda", 0, "Planted card", 8 * 10**9)


def picker():
    import streamlit as st

    from ui.shared import errors
    from ui.sidebar import device
    from ui.studies import compute

    with st.sidebar:
        device.pick()
    with errors.shown():
        st.text(compute.device().name)
        st.text(compute.device(10).name)
        st.text(compute.device(2**40).name)


@pytest.fixture
def card(monkeypatch):
    """A machine with a card, torch imported."""
    monkeypatch.setattr(devices, "available", lambda: (CPU, CARD))
    monkeypatch.setattr(devices, "_cuda", lambda: (CARD,))
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: True)
    monkeypatch.setattr(devices, "_torch_is_here", lambda: True)


def texts(app):
    assert not app.exception
    return [text.value for text in app.text]


def test_a_card_is_offered_with_its_memory_and_takes_large_work_only(card):
    app = AppTest.from_function(picker).run()
    assert app.selectbox[0].options == ["The first GPU, if there is one", "CPU", "Planted card (8.00 GB)"]
    assert texts(app) == ["Planted card", "CPU", "Planted card"]
    app.selectbox[0].set_value("cpu").run()
    assert texts(app) == ["CPU", "CPU", "CPU"]


def test_nothing_is_drawn_where_there_is_nothing_to_choose(monkeypatch):
    monkeypatch.setattr(devices, "may_have_more", lambda: False)
    app = AppTest.from_function(picker).run()
    assert not app.selectbox
    assert texts(app) == ["CPU", "CPU", "CPU"]


def test_a_device_in_the_url_that_is_not_there_is_named_on_the_page(card):
    app = AppTest.from_function(picker)
    app.query_params["device"] = "cuda:7"
    app.run()
    assert not app.exception
    assert "cuda:7 was asked for, but torch finds cpu, cuda:0" in app.error[0].value.replace("\\", "")


def test_the_command_line_names_the_device_that_sessions_begin_with():
    assert parse_arguments(["--device", "cuda:1"]).device == "cuda:1"
    assert parse_arguments([]).device == "auto"


def test_a_result_of_a_device_has_a_key_of_its_own_and_one_of_the_cpu_keeps_its_old_one():
    from core.enrichment.enrichment import Enrichment
    from core.logit_weights.statistics import LogitStatistics
    from core.logit_weights.unembedding import LogitSettings
    from core.positions.statistics import PositionSettings, PositionStatistics

    keys = {
        "positions": lambda **how: PositionStatistics.key("a", "b", settings=PositionSettings(), **how),
        "logits": lambda **how: LogitStatistics.key("a", "b", LogitSettings(), **how),
        "enrichment": lambda **how: Enrichment.key("a", "b", LogitSettings(), "c", **how),
    }
    for key in keys.values():
        assert key() == key(device=CPU)
        assert len({key(), key(device=CARD), key(device=Device("cuda", 0, "Another card"))}) == 3


def test_neighbours_of_every_device_are_equal_to_the_bit(device):
    from core.geometry.neighbors import nearest_between, nearest_features

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((900, 48), dtype=np.float32)
    rows += 2 * rng.standard_normal((40, 48), dtype=np.float32)[rng.integers(0, 40, 900)]
    rows[5], rows[6:9], rows[700:900] = 0, rows[10], rows[11] + 1e-4 * rows[700:900]
    expected, found = nearest_features(rows, k=50), nearest_features(rows, k=50, device=device)
    assert expected.idx.tobytes() == found.idx.tobytes()
    assert expected.cos.tobytes() == found.cos.tobytes()
    expected, found = (nearest_between(rows, rows[::-3].copy(), k=20, device=where) for where in (CPU, device))
    for name in ("a_in_b_idx", "b_in_a_idx", "a_in_b_cos", "b_in_a_cos"):
        assert getattr(expected, name).tobytes() == getattr(found, name).tobytes(), name


def test_ranks_of_equal_logit_weights_are_equal_to_the_bit_on_every_device(device):
    from tests.doubles.token_set_scores import random_sets, scores_of, tied_values

    rng = np.random.default_rng(2)
    values, sets = tied_values(rng), random_sets(rng)
    values[1], values[2, 3] = 1, np.nan
    expected, found = scores_of(values, sets), scores_of(values, sets, device=device)
    for name in ("es_high", "es_low", "auc", "log10_p", "log10_q"):
        assert getattr(expected, name).tobytes() == getattr(found, name).tobytes(), name


def test_counts_of_exact_products_are_equal_on_every_device(device, tmp_path):
    """Weights are small whole numbers, so that float32 products are exact and ties abound."""
    from core.positions.additive import additive_statistics
    from tests.doubles.planted import planted_dictionary, planted_model

    rng = np.random.default_rng(3)
    whole = {"embed.W_E": rng.integers(-3, 4, (300, 8)), "pos_embed.W_pos": rng.integers(-2, 3, (12, 8))}
    model = planted_model(tmp_path, d_vocab=300, n_ctx=12, tensors={k: v.astype(float) for k, v in whole.items()})
    weights = {"W_enc": rng.integers(-2, 3, (8, 30)), "b_enc": rng.integers(-6, 2, 30), "b_dec": np.zeros(8)}
    weights["W_dec"] = np.eye(8)[np.arange(30) % 8]  # of length 1: folding norms leaves all as it is
    dictionary = planted_dictionary(d_sae=30, tensors={k: v.astype(float) for k, v in weights.items()})
    how = {"n_pos": 12, "context_size": 9}
    expected, found = (additive_statistics(dictionary, model, device=where, **how) for where in (CPU, device))
    for name in ("rate", "mean", "token_best", "only_beyond"):
        assert getattr(expected, name).tobytes() == getattr(found, name).tobytes(), name
