"""What a notebook's first cell does."""

import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadDictionaryError, BadSettingError, LoupeError, UnknownNameError
from core.notebook import AppError, load_dictionary, open_in_app
from core.workspace import argument_parser, check_arguments
from tests.doubles import planted_pages, saved

ROOT = Path(__file__).resolve().parents[2]


def test_a_folder_opens_wherever_it_lies(tmp_path):
    folder = saved.write(tmp_path / "sae")
    for source in (folder, str(folder)):
        assert load_dictionary(source).d_sae == saved.D_SAE
    assert not load_dictionary(folder, fold_decoder_norms=False).folded


def test_a_sae_in_memory_gives_the_same_features_as_its_folder(tmp_path):
    from sae_lens import SAE

    folder = saved.save(tmp_path / "sae", "standard")
    sae = SAE.load_from_disk(str(folder))
    found, twin = load_dictionary(sae), load_dictionary(folder)
    assert found.sha256 == twin.sha256
    x = np.random.default_rng(0).normal(size=(5, saved.D_IN)).astype(np.float32)
    np.testing.assert_allclose(found.encode(x), twin.encode(x))


def test_a_dictionary_saved_is_the_dictionary_read(tmp_path):
    found = load_dictionary(saved.write(tmp_path / "sae", "gated"), fold_decoder_norms=False)
    found.save(tmp_path / "copy")
    assert load_dictionary(tmp_path / "copy", fold_decoder_norms=False).sha256 == found.sha256


def test_what_cannot_be_opened_is_explained(tmp_path):
    with pytest.raises(UnknownNameError, match="no dictionary called 'demo/nothing'"):
        load_dictionary("demo/nothing")
    with pytest.raises(BadDictionaryError):
        load_dictionary(tmp_path)
    with pytest.raises(AppError, match=r"no folder .*nowhere"):
        open_in_app(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["a" * 300, "x#k=" + "9" * 5000, "a/" * 3000, "demo/" + "a" * 300, "a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_is_explained_in_words_that_can_be_printed(text):
    for refused in (lambda: load_dictionary(text), lambda: open_in_app(text), lambda: said(["--sae", text])):
        with pytest.raises(LoupeError) as caught:
            refused()
        assert len(str(caught.value).encode()) < 1200
    if not text.startswith("demo"):
        with pytest.raises(LoupeError, match="folder of a model"):
            said(["--model", text])


def said(words: list[str]) -> None:
    check_arguments(argument_parser().parse_args(words))


def test_core_offers_both_and_imports_neither_until_asked():
    script = (
        "import core, sys; assert 'core.notebook' not in sys.modules\nfrom core import load_dictionary, open_in_app"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_app_opens_on_a_dictionary_and_stops(tmp_path):
    planted_pages.write_workspace(tmp_path)
    app = open_in_app(tmp_path / "dictionary", page="dashboards", model=tmp_path / "planted")
    try:
        with urllib.request.urlopen(app.url, timeout=20) as answer:
            assert answer.status == 200
        assert app.url in app._repr_html_()
    finally:
        app.stop()
    assert app.process.poll() is not None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("/no/such/folder", r"There is nothing at '/no/such/folder'.*Check the path\.$"),
        ("gpt2-small-res-jb/blocks.8.hook_resid_pre", "There is nothing at.*Write registry/RELEASE/ID"),
        (None, "given NoneType 'None'. Expected an id such as"),
        (["a"], "given list"),
    ],
)
def test_a_missing_path_a_registry_entry_and_a_wrong_type_are_told_apart(source, says):
    with pytest.raises(LoupeError, match=says) as caught:
        load_dictionary(source)
    assert "--root" not in str(caught.value)


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_path_is_not_the_present_folder(empty, tmp_path, monkeypatch):
    monkeypatch.chdir(saved.write(tmp_path / "sae"))
    with pytest.raises(BadSettingError, match="an empty path"):
        load_dictionary(empty)
