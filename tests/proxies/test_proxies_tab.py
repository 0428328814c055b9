"""The view of one feature beside a proxy, on a planted workspace."""

import shutil

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, reading
from tests.doubles.planted import planted_dictionary
from ui.studies import opened

SCRIPT = """
import streamlit as st
from ui.feature import proxies
from ui.shared import errors
from ui.studies import compute, feature
from ui.studies import opened

st.session_state["sae"] = opened.dictionary_ids()[0]
st.number_input("Feature", 0, 11, key="feature", bind="query-params")
with errors.shown():
    proxies.proxies(feature.subject())
"""


@pytest.fixture
def view(tmp_path, monkeypatch):
    """Return a function that opens the view with what stands in the URL; feature 4 is the letter i, 0 is silent."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path)):
        plant_letter(opened.dictionary(planted_pages.id_of(tmp_path)), tmp_path / "dictionary")
        yield lambda **query: pages.run(SCRIPT, query)


def plant_letter(found, folder) -> None:
    """Let feature 4 be active on the letter i alone, and feature 0 nowhere."""
    model = opened.model_of(found)
    letters = [model.tokenizer.token_to_id(letter) for letter in "importhsand#ĠĊ"]
    along = model.W_E[letters] @ model.W_E[letters[0]]
    assert along[0] > along[1:].max()
    W_enc, b_enc = found.W_enc.copy(), np.full(12, -6.0)
    W_enc[:, [0, 4]] = np.stack([np.zeros(8), model.W_E[letters[0]]], axis=1)
    b_enc[4] = -(along[0] + along[1:].max()) / 2
    tensors = {"W_enc": W_enc, "W_dec": W_enc.T + 0.1, "b_enc": b_enc, "b_dec": np.zeros(8)}
    shutil.rmtree(folder)
    planted_dictionary(context_size=planted_pages.C, tensors=tensors).save(folder)
    pages.forget()


def ranking(at: AppTest):
    return next(d.value for d in at.dataframe if "proxy_correlation" in d.value)


def test_the_pattern_of_a_token_finds_the_feature_that_reads_it(view):
    at = fine(view(feature=0, fe_proxy="Regular expression", fe_proxy_pattern="^i$"))
    assert float(reading(at, "Base rate").removesuffix(" %")) == pytest.approx(100 * 2 / 23, rel=0.1)
    assert "active on no token" in at.info[0].value
    assert ranking(at)["feature"].iloc[0] == 4
    at.number_input(key="feature").set_value(4).run()
    readings = [reading(at, name) for name in ("Specificity", "Sensitivity", "Proxy correlation")]
    assert readings == ["100 %", "100 %", "1"]
    assert len(at.get("vega_lite_chart")) == 4
    assert "Active, but no hit of the proxy: no such token." in [item.value for item in at.info]
    at.text_input(key="fe_proxy_pattern").set_value("th").run()
    assert "found on none" in at.info[0].value
    at.segmented_control(key="fe_proxy_in").set_value("the text").run()
    assert reading(at, "Specificity") == "0 %"
    assert "row" in "".join(item.proto.body for item in at.get("html"))
    at.text_input(key="fe_proxy_pattern").set_value("t(h").run()
    assert "at character 2" in at.error[0].value


def test_ratios_have_a_threshold_and_texts_without_any_hit_say_so(view):
    at = fine(view(feature=4, fe_proxy="Base64", fe_proxy_over=-2.0))
    assert len(at.get("vega_lite_chart")) == 5
    at.segmented_control(key="fe_proxy_by").set_value("Log-likelihood ratio").run()
    for height in ("Tokens, log", "Share"):
        at.segmented_control(key="fe_proxy_height").set_value(height).run()
        assert not at.exception
    at.selectbox(key="fe_proxy").set_value("Arabic").run()
    assert "over -2 nats on none of the 768 tokens" in at.info[0].value.replace("\\", "")
    assert "no proxy called 'Klingon'" in view(fe_proxy="Klingon").warning[0].value.replace("\\", "")
