"""What pages do with dictionaries of one side of many: the sidebar chooses the side, and nothing pretends to more."""

import pytest

from tests.doubles.cross_layer import circuit_tracer, draw
from tests.doubles.pages import app, fine, page, run, text_of
from tests.doubles.planted_pages import read_little_text, write_workspace

PAGES = ("overview", "geometry", "logit_weights", "feature", "activations", "positions", "text", "splitting")


def choice(at, label):
    return next(box for box in at.selectbox if box.label == label)


@pytest.fixture
def clt(tmp_path):
    write_workspace(tmp_path)
    return circuit_tracer(tmp_path / "clt", draw(layers=2, d=8), model="planted")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_for_all_layers_of_a_cross_layer_transcoder(tmp_path, clt, monkeypatch, name):
    read_little_text(monkeypatch)
    with page(tmp_path, monkeypatch, name) as open_page:
        assert not open_page({"sae": f"folder/{clt}#target=1"}).exception


def sidebar():
    """The sidebar's part, with a plain field for the id, and what pages say of every dictionary."""
    import streamlit as st

    from ui.sidebar import pickers
    from ui.studies import opened

    st.text_input("sae", key="sae")
    pickers.choices()
    pickers.facts(opened.dictionary())


def test_the_sidebar_chooses_layer_and_target_and_every_page_says_what_the_rows_are(tmp_path, clt, monkeypatch):
    with app(monkeypatch, "--root", str(tmp_path), "--cache", str(tmp_path / "cache")):
        at = fine(run(sidebar, sae=f"folder/{clt}"))
        assert choice(at, "Decoder rows for").value == "1"
        at = fine(choice(at, "Features of").set_value("1").run())
        assert at.session_state["sae"] == f"folder/{clt}#layer=1"
        at = fine(choice(at, "Features of").set_value("0").run())
        assert "Their decoder rows are sums over layers 0 to 1" in text_of(at)
        at = fine(choice(at, "Decoder rows for").set_value("1").run())
        assert at.session_state["sae"] == f"folder/{clt}#layer=0&target=1"
        assert "Layers 0 to 1 write there together, so nothing is reconstructed" in text_of(at)
        at = fine(choice(at, "Features of").set_value("").run())
        at = fine(choice(at, "Decoder rows for").set_value("0").run())
        at = fine(choice(at, "Features of").set_value("1").run())
        assert at.session_state["sae"] == f"folder/{clt}#layer=1", "an earlier target is dropped"


def test_health_measures_what_all_layers_give_together_and_refuses_it_for_one(tmp_path, clt, monkeypatch):
    read_little_text(monkeypatch)
    with page(tmp_path, monkeypatch, "overview") as open_page:
        whole = fine(open_page({"sae": f"folder/{clt}#target=1"}))
        assert "is one layer of a cross-layer transcoder" not in text_of(whole)
        one = open_page({"sae": f"folder/{clt}#layer=0&target=1"})
        assert "the layers before it write to layer 1 too" in text_of(one)
        assert not one.exception
