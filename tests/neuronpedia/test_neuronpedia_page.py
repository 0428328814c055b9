"""The Neuronpedia page on a planted workspace: nothing is asked of the network before a person says so."""

import gzip
import io
import json
import urllib.error
import urllib.request
import zipfile
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from core.neuronpedia.labels import BULK, Labels, NeuronpediaSource
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of
from ui.studies import compute

ID = "gpt2-small/8-res-jb"


@pytest.fixture
def asked(monkeypatch):
    """Addresses that were asked for; nothing answers."""
    addresses = []

    def refuse(request, **_):
        addresses.append(getattr(request, "full_url", request))
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return addresses


@pytest.fixture
def open_page(tmp_path, monkeypatch, asked):
    """Return a function that opens the page on the planted dictionary, which names an id if one is given."""
    folder = planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "neuronpedia") as run:

        def open_page(query: dict | None = None, *, id: str | None = ID) -> AppTest:
            config = json.loads((folder / "cfg.json").read_text())
            config["metadata"]["neuronpedia_id"] = id
            (folder / "cfg.json").write_text(json.dumps(config))
            return run(query)

        yield open_page


def links(at: AppTest) -> list[str]:
    return [link.proto.url for link in at.get("link_button")]


def keep_labels(**texts: str) -> None:
    """Put labels into the store, as if they had been downloaded before."""
    import numpy as np

    features = np.array([int(name[1:]) for name in texts])
    source = NeuronpediaSource.parse(ID)
    compute.store().save(Labels(features, tuple(texts.values())), Labels.key(source))


@pytest.mark.parametrize("tab", ["This feature", "Quick list", "Export"])
@pytest.mark.parametrize("id", [ID, None])
def test_every_tab_opens_and_asks_nothing_of_the_network(open_page, asked, tab, id):
    at = fine(open_page({"tab": tab, "feature": "3"}, id=id))
    assert asked == []
    assert not at.get("iframe")
    assert bool(at.info) == (id is None and tab != "Export")


def test_a_dictionary_without_an_id_says_so_and_a_typed_one_serves(open_page):
    at = open_page({"feature": "3"}, id=None)
    assert "nor the registry of sae-lens names an id on Neuronpedia" in text_of(at, "info")
    assert links(at) == []
    at.text_input(key="np_id").set_value("gpt2-small").run()
    assert "'gpt2-small' is no Neuronpedia id" in text_of(at, "error")
    at.text_input(key="np_id").set_value(ID).run()
    assert links(at) == [f"https://www.neuronpedia.org/{ID}/3", f"https://www.neuronpedia.org/{ID}"]
    assert not at.info
    assert list(at.session_state["_np_typed"].values()) == [NeuronpediaSource.parse(ID)]  # for views of other pages
    at.text_input(key="np_id").set_value("").run()
    assert not at.session_state["_np_typed"]


def test_an_id_typed_for_one_dictionary_is_not_taken_for_another(open_page):
    at = open_page({"np_id": ID, "feature": "3"}, id=None)
    at.selectbox(key="sae").set_value("demo/layer0-standard-2048").run()
    assert not at.exception
    assert at.text_input(key="np_id").value == ""
    assert links(at) == []
    at.selectbox(key="sae").set_value(at.selectbox(key="sae").options[0]).run()
    assert links(at) == []


def test_a_link_with_an_id_is_followed_but_cannot_turn_the_frame_on(open_page, asked):
    at = open_page({"np_id": ID, "np_show": "true", "feature": "3"}, id=None)
    assert links(at)[0] == f"https://www.neuronpedia.org/{ID}/3"
    assert not at.get("iframe")
    assert asked == []


def test_the_frame_is_there_once_it_is_turned_on_and_has_a_link_beside_it(open_page, asked):
    at = open_page({"feature": "3"})
    at.toggle(key="np_show").set_value(True).run()
    (frame,) = at.get("iframe")
    assert frame.proto.src.startswith(f"https://www.neuronpedia.org/{ID}/3?embed=true")
    assert f"](https://www.neuronpedia.org/{ID}/3)" in text_of(at, "caption")
    assert asked == []


def test_labels_are_fetched_when_asked_for_kept_and_shown_escaped(open_page, asked, monkeypatch):
    at = open_page({"feature": "3"})
    assert f"{BULK}/{ID}/explanations/" in [element.value for element in at.code]
    lines = "\n".join(json.dumps({"index": i, "description": f"about *{i}*"}) for i in (1, 3))

    def answer(request, **_):
        asked.append(request.full_url)
        if "batch-0" in request.full_url:
            return io.BytesIO(gzip.compress(lines.encode()))
        raise urllib.error.HTTPError(request.full_url, 404, "Not Found", {}, None)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    at.button(key="np_fetch").click().run()
    assert [address.rpartition("/")[2] for address in asked] == ["batch-0.jsonl.gz", "batch-1.jsonl.gz"]
    assert r"> about \*3\*" in [element.value for element in at.markdown]
    assert "2 of 12 features have a label" in text_of(at, "caption")
    at = open_page({"feature": "2"})  # another session, and another server
    assert "Feature 2 has no label" in text_of(at, "markdown")
    assert len(asked) == 2


def test_a_site_that_cannot_be_reached_is_explained_and_not_asked_again_unasked(open_page, asked):
    at = open_page({"feature": "3"})
    at.button(key="np_fetch").click().run()
    assert "check the connection" in text_of(at, "error")
    assert len(asked) == 1
    at.run()
    assert not at.error
    assert len(asked) == 1


def test_labels_of_features_that_the_dictionary_does_not_have_are_called_into_question(open_page):
    at = open_page({"feature": "3"})
    keep_labels(f3="months", f12="one too many")
    at.run()
    assert "has a label for feature 12, but this dictionary has 12 features" in text_of(at, "warning")


def test_a_quick_list_links_what_was_typed_and_names_the_labels(open_page, asked):
    at = open_page({"tab": "Quick list", "np_features": "3, 5-6", "feature": "1"})
    keep_labels(f5="<b>months</b>")
    at.run()
    query = parse_qs(urlsplit(links(at)[0]).query)
    assert [item["index"] for item in json.loads(query["features"][0])] == ["3", "5", "6"]
    table = at.dataframe[0].value
    assert table["neuronpedia_label"].tolist() == ["", "<b>months</b>", ""]
    assert table["neuronpedia_page"].tolist() == [f"https://www.neuronpedia.org/{ID}/{i}" for i in (3, 5, 6)]
    at.text_input(key="np_features").set_value("").run()
    assert at.dataframe[0].value["feature"].tolist() == [1]
    at.text_input(key="np_features").set_value("3, 12").run()
    assert "Feature 12 does not exist" in text_of(at, "error")
    assert asked == []


def test_a_list_that_is_too_long_for_one_page_is_explained_and_still_linked(open_page, monkeypatch):
    monkeypatch.setattr("ui.neuronpedia.labels.MOST_IN_LIST", 4)
    at = open_page({"tab": "Quick list", "np_features": "0-4"})
    assert "5 features are too many for one page. Neuronpedia shows at most 4" in text_of(at, "warning")
    assert links(at) == []
    assert len(at.dataframe[0].value) == 5


def test_an_export_gives_both_files_once_computed_and_leaves_silent_features_out_of_one(open_page, asked, monkeypatch):
    made = {}

    def download_button(label, data, file_name, *_, key, disabled=False, **__):
        made[key] = (label, data, file_name, disabled)

    monkeypatch.setattr("streamlit.download_button", download_button)
    at = open_page({"tab": "Export", "np_features": "3, 5, 0", "np_rows": "16"})
    assert made == {}
    folder = next(iter(compute.workspace().pinned))
    id = f"folder/{folder}"
    at.text_area(key=f"np_said {id}").set_value("3: the third token")
    at.text_input(key=f"np_model {id}").set_value("Mine").run()
    at.button(key="np_compute").click().run()
    assert not at.exception
    assert not at.error
    label, data, name, disabled = made["np_upload"]
    assert (label, name, disabled) == ("Upload file, 1 of 3 features", "mine-8-res-jb.json", False)
    body = json.loads(data())
    assert (body["modelId"], [one["index"] for one in body["features"]]) == ("mine", [3])
    assert body["features"][0]["explanations"][0]["text"] == "the third token"
    assert "These features are silent on all of this text: 5, 0." in text_of(at, "warning")
    archive = zipfile.ZipFile(io.BytesIO(made["np_bulk"][1]()))
    assert "mine/8-res-jb/features/batch-0.jsonl.gz" in archive.namelist()
    table = at.dataframe[0].value.set_index("feature")
    assert table.loc[5, ["density", "largest_activation", "example_texts"]].tolist() == [0, 0, 0]
    assert table.loc[3, "largest_activation"] == pytest.approx(1.5)  # 2.0 at position 2, less the bias
    assert asked == []


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("np_model", "two words", "'two words/8-res-jb' is no Neuronpedia id"), ("np_said", "4: x", "explains feature 4")],
)
def test_what_an_export_cannot_use_is_named(open_page, field, value, says):
    at = open_page({"tab": "Export", "np_features": "3"})
    id = f"folder/{next(iter(compute.workspace().pinned))}"
    kind = at.text_area if field == "np_said" else at.text_input
    kind(key=f"{field} {id}").set_value(value).run()
    assert says in text_of(at, "error")


def test_more_features_than_an_archive_takes_are_refused(open_page, monkeypatch):
    monkeypatch.setattr("ui.neuronpedia.export.MOST_IN_ARCHIVE", 4)
    at = open_page({"tab": "Export", "np_features": "0-4"})
    assert "5 features are too many for one export. Expected at most 4" in text_of(at, "error")
