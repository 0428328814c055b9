"""Opening another dictionary from the sidebar: search, cost, download, and what the hub has to say."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages
from tests.doubles.hub_files import RES_JB, RES_JB_ID, use_hub, write_gpt2, write_res_jb
from tests.doubles.pages import button, text_of
from tests.doubles.standin_hub import Fault, StandIn
from ui.studies import opened


def app():
    """The sidebar's part, with the dialog's contents in the open."""
    import streamlit as st

    from ui.sidebar import dictionary_finder

    dictionary_finder.take_up()
    st.text_input("sae", key="sae")
    dictionary_finder.button()
    dictionary_finder.offer_missing()
    dictionary_finder.contents()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    repositories = {RES_JB: write_res_jb(tmp_path / "jb"), "me/mine": write_res_jb(tmp_path / "mine", layers=(0, 1))}
    with (
        pages.app(monkeypatch, "--cache", str(tmp_path / "app"), "--root", str(tmp_path)),
        StandIn(repositories) as hub,
    ):
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


@pytest.fixture
def at(hub):
    return pages.run(app)


def texts(at: AppTest) -> str:
    return text_of(at, "markdown", "caption", "error", "warning")


def search(at: AppTest, text: str) -> AppTest:
    return at.text_input(key="_find").set_value(text).run()


def test_a_search_shows_what_fits_and_asks_nothing_of_the_hub(at, hub):
    search(at, "gpt2-small-res-jb blocks.0.")
    table = at.dataframe[0].value
    assert list(table["sae_id"]) == ["blocks.0.hook_resid_pre"]
    assert table["expected_l0"].isna().all() or (table["expected_l0"] > 0).all()
    assert not table["downloaded"].any()
    assert "1 of 13,857 dictionaries; 1 shown." in texts(at)
    assert not at.exception
    assert hub.requests == []


def test_a_hub_folder_is_priced_downloaded_and_becomes_the_picked_one(at, hub):
    at.text_input(key="_hub_repository").set_value("me/mine")
    at.text_input(key="_hub_folder").set_value("blocks.1.hook_resid_pre").run()
    assert hub.requests == []
    button(at, "Ask the hub for the size").click().run()
    assert "2 kB to fetch" in texts(at)
    assert hub.count("GET", "/resolve/") == 0
    button(at, "Download").click().run()
    assert at.text_input(key="sae").value == "hub/me/mine/blocks.1.hook_resid_pre"
    assert not at.exception
    assert not at.error
    button(at, "Open").click().run()
    assert opened.dictionary("hub/me/mine/blocks.1.hook_resid_pre").config.hook_name == "blocks.1.hook_resid_pre"


def test_what_was_downloaded_is_marked_in_the_search(at):
    from core.dictionaries import sources

    sources.download(RES_JB_ID)
    assert search(at, "gpt2-small-res-jb blocks.0.").dataframe[0].value["downloaded"].all()


def test_a_download_that_fails_says_why_once_and_can_be_tried_again(at, hub):
    hub.faults.append(Fault("resolve", status=503))
    at.text_input(key="_hub_repository").set_value("me/mine")
    at.text_input(key="_hub_folder").set_value("blocks.0.hook_resid_pre").run()
    button(at, "Download").click().run()
    asked = len(hub.requests)
    at.run()
    assert len(hub.requests) == asked
    assert "The hub cannot answer now" in texts(at)
    hub.faults.clear()
    button(at, "Download again").click().run()
    assert at.text_input(key="sae").value == "hub/me/mine/blocks.0.hook_resid_pre"


def test_a_name_that_cannot_be_on_the_hub_is_explained(at, hub):
    at.text_input(key="_hub_repository").set_value("../etc").run()
    assert "cannot be a hub repository" in texts(at)
    assert not at.exception
    assert hub.requests == []


def test_a_typed_folder_is_taken_up_by_the_picker(at):
    at.text_input(key="_folder_path").set_value("./mine/blocks.0.hook_resid_pre").run()
    button(at, "Open").click().run()
    assert at.text_input(key="sae").value == "folder/./mine/blocks.0.hook_resid_pre"


def test_settings_typed_beside_a_path_stand_behind_it_and_unknown_ones_are_named(at):
    at.text_input(key="_folder_path").set_value("./mine").run()
    at.text_input(key="_folder_settings").set_value("top_k=3").run()
    assert "There is no setting called 'top_k'" in texts(at)
    at.text_input(key="_folder_settings").set_value(" #k=3&prepend_bos=true ").run()
    button(at, "Open").click().run()
    assert at.text_input(key="sae").value == "folder/./mine/blocks.0.hook_resid_pre#k=3&prepend_bos=true"


def test_a_folder_of_dictionaries_offers_them_by_name(at):
    at.text_input(key="_folder_path").set_value("./mine").run()
    (choice,) = at.selectbox
    assert choice.options == ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre"]
    choice.set_value("blocks.1.hook_resid_pre").run()
    button(at, "Open").click().run()
    assert at.text_input(key="sae").value == "folder/./mine/blocks.1.hook_resid_pre"


def test_a_linked_dictionary_that_is_not_here_is_offered_then_its_model(hub, tmp_path):
    hub.repositories["gpt2"] = write_gpt2(tmp_path / "gpt2")
    at = pages.run(app, sae=RES_JB_ID)
    assert f"The dictionary '{RES_JB_ID}' is not on this machine" in texts(at)
    assert hub.requests == []
    button(at, "Download").click().run()
    assert "The model 'gpt2-small' is not on this machine" in texts(at)
    button(at, "Download embeddings only").click().run()
    assert "Only some tensors of gpt2 are on this machine" in texts(at)
    assert opened.model_of(opened.dictionary(RES_JB_ID)).W_U.shape == (8, 257)
    button(at, "Download the whole model").click().run()
    assert not at.exception
    assert "not on this machine" not in texts(at)
    assert "Only some tensors" not in texts(at)
    assert opened.model_of(opened.dictionary(RES_JB_ID)).whole
