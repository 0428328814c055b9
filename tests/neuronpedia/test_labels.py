"""Addresses as Neuronpedia writes them, and labels from a stand-in on loopback."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from core.dictionaries.origin import Origin
from core.neuronpedia import labels as neuronpedia_labels
from core.neuronpedia.labels import Labels, NeuronpediaError, NeuronpediaSource, download_labels, neuronpedia_source
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary

SOURCE = NeuronpediaSource("gpt2-small", "8-res-jb")


@pytest.fixture
def served():
    """A stand-in: a function that takes {path: (status, body)} and returns the address."""
    servers = []

    def start(files: dict[str, tuple[int, bytes]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = files.get(self.path, (404, b""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def batch(*items) -> tuple[int, bytes]:
    return 200, gzip.compress("\n".join(json.dumps(item) for item in items).encode())


def path(number: int) -> str:
    return f"/gpt2-small/8-res-jb/explanations/batch-{number}.jsonl.gz"


def test_addresses_have_the_form_that_neuronpedia_documents():
    assert NeuronpediaSource.parse("gpt2-small/8-res-jb") == SOURCE
    assert SOURCE.feature_url(4467) == "https://www.neuronpedia.org/gpt2-small/8-res-jb/4467"
    assert SOURCE.steer_url(4467) == "https://www.neuronpedia.org/gpt2-small/steer?source=8-res-jb&index=4467"
    embedded = urlsplit(SOURCE.embed_url(4467))
    assert embedded.path == "/gpt2-small/8-res-jb/4467"
    assert parse_qs(embedded.query)["embed"] == ["true"]


def test_a_quick_list_names_model_source_and_features_as_text():
    query = parse_qs(urlsplit(SOURCE.list_url("mine & yours", [3, 5])).query)
    assert query["name"] == ["mine & yours"]
    assert json.loads(query["features"][0]) == [
        {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "3"},
        {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "5"},
    ]


@pytest.mark.parametrize("n", [0, 151])
def test_a_quick_list_that_neuronpedia_would_refuse_is_refused_here(n):
    with pytest.raises(NeuronpediaError, match=rf"{n} features .* 1 to 150"):
        SOURCE.list_url("x", range(n))
    assert SOURCE.list_url("x", range(150))


@pytest.mark.parametrize(
    "text", ["gpt2-small", "a/b/c", "../x", "a/", "javascript:alert(1)/x", "a b/c", "a/" + "b" * 200]
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(NeuronpediaError, match="no Neuronpedia id"):
        NeuronpediaSource.parse(text)


def test_labels_come_from_all_batches_and_the_first_of_a_feature_counts(served, tmp_path):
    files = {
        path(0): batch(
            {"index": "7", "description": " months "}, {"index": "7", "description": "second"}, [], {"index": 1}
        ),
        path(1): batch({"index": 2, "description": "<b>bold</b>"}, {"index": "x", "description": "no number"}),
        path(2): batch({"index": 9, "description": "half \ud800"}, {"index": 10**400, "description": "far"}),
    }
    labels = download_labels(SOURCE, base=served(files))
    assert labels.feature.tolist() == [2, 7, 9]
    assert labels.of(9) == "half \ufffd"
    assert (labels.of(7), labels.of(2), labels.of(3)) == ("months", "<b>bold</b>", None)
    store = ArtifactStore(tmp_path)
    store.save(labels, Labels.key(SOURCE))
    assert store.load(Labels, Labels.key(SOURCE)).text == labels.text


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no labels for gpt2-small/8-res-jb"),
        ({path(0): (500, b"")}, "answered 500"),
        ({path(0): (200, b"not gzip")}, "could not be read"),
        ({path(0): (200, gzip.compress(b"x" * 1000)[:-12])}, "could not be read"),
        ({path(0): (200, gzip.compress(b"x" * 3000))}, "unpacks to more than"),
    ],
)
def test_a_site_that_answers_oddly_is_explained(served, monkeypatch, files, says):
    monkeypatch.setattr(neuronpedia_labels, "_MOST_BYTES", 2000)
    with pytest.raises(NeuronpediaError, match=says):
        download_labels(SOURCE, base=served(files))


def test_a_site_that_cannot_be_reached_is_explained(served):
    address = served({})
    with pytest.raises(NeuronpediaError, match="check the connection"):
        download_labels(SOURCE, base=address.rpartition(":")[0] + ":1")


def test_labels_of_no_feature_are_none():
    assert Labels(np.zeros(0, int), ()).of(0) is None


def test_the_size_of_labels_counts_their_texts():
    assert Labels(np.array([1, 4], np.int32), ("months", "days")).nbytes == 8 + 10


@pytest.mark.parametrize(
    ("of_registry", "of_config", "expected"),
    [
        (None, None, None),
        (None, "gpt2-small/8-res-jb", SOURCE),
        ("gpt2-small/8-res-jb", "other/1-x", SOURCE),
        ("no id", "gpt2-small/8-res-jb", SOURCE),
        (None, "javascript:alert(1)", None),
        (None, 7, None),
        (None, "", None),
    ],
)
def test_a_dictionary_is_where_the_registry_says_or_else_its_own_config(of_registry, of_config, expected):
    dictionary = planted_dictionary(metadata={"neuronpedia_id": of_config} if of_config is not None else None)
    dictionary.origin = Origin({"neuronpedia": of_registry} if of_registry else {})
    assert neuronpedia_source(dictionary) == expected
