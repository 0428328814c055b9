"""What a notebook does first: open, encode, decode, reconstruct."""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sae_loupe as loupe
from core.dictionaries.sources import open_dictionary
from core.errors import BadSettingError, DoesNotFitError, LoupeError, NoSuchPathError, NotDownloadedError
from core.workspace import Workspace
from sae_loupe.words import said
from tests.doubles import saved
from tests.doubles.hub_files import use_hub
from tests.doubles.standin_hub import StandIn

ROOT = Path(__file__).resolve().parents[2]
DEMO = "demo/layer0-standard-2048"


@pytest.fixture(scope="module")
def demo():
    return loupe.open(DEMO)


def vectors(dtype=np.float32, shape=(3, 4, 128)):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def test_importing_the_front_door_imports_nothing_large():
    script = "import sys, sae_loupe; assert not {'numpy', 'pandas', 'torch', 'altair', 'streamlit'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_all_names_are_there_and_completed():
    assert {"open", "OpenDictionary", "open_in_app", "LoupeError"} <= set(loupe.__all__) <= set(dir(loupe))
    for name in loupe.__all__:
        assert getattr(loupe, name).__doc__
    with pytest.raises(AttributeError, match=r"no attribute 'opne'. It has .*open"):
        loupe.opne  # noqa: B018


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numpy_vectors_of_any_float_dtype_give_what_the_app_computes(demo, dtype):
    x = vectors(dtype)
    twin = open_dictionary(DEMO, Workspace())
    acts = demo.encode(x)
    assert acts.dtype == np.float32
    assert acts.shape == (3, 4, 2048)
    np.testing.assert_array_equal(acts, twin.encode(x.astype(np.float32)))
    np.testing.assert_array_equal(demo.reconstruct(x), twin.reconstruct(x.astype(np.float32)))
    np.testing.assert_allclose(demo.decode(acts), demo.reconstruct(x), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_any_float_dtype_come_back_as_tensors_and_keep_no_gradient(demo, dtype):
    x = torch.from_numpy(vectors()).to(dtype).requires_grad_()
    acts = demo.encode(x)
    assert isinstance(acts, torch.Tensor)
    assert acts.dtype == torch.float32
    assert not acts.requires_grad
    np.testing.assert_array_equal(acts.numpy(), demo.encode(x.detach().float().numpy()))
    assert demo.decode(acts).shape == demo.reconstruct(x).shape == (3, 4, 128)


def test_one_vector_and_a_view_that_is_not_contiguous_are_vectors_too(demo):
    x = vectors()
    np.testing.assert_allclose(demo.encode(x[0, 0]), demo.encode(x)[0, 0], atol=1e-5)
    np.testing.assert_allclose(demo.encode(x.swapaxes(0, 1)), demo.encode(x).swapaxes(0, 1), atol=1e-5)
    assert demo.encode(x[:0]).shape == (0, 4, 2048)


@pytest.mark.parametrize(
    ("x", "error", "says"),
    [
        (
            np.zeros((5, 64)),
            DoesNotFitError,
            r"shape \(5, 64\). Expected \(..., 128\): the last axis is d_in of Layer 0",
        ),
        (np.zeros((128, 5)), DoesNotFitError, r"Swap the last two axes"),
        (np.zeros((5, 4, 32)), DoesNotFitError, r"x.reshape\(\*x.shape\[:-2\], -1\)"),
        (np.float32(1), BadSettingError, "given float32"),
        (np.zeros((5, 128), int), BadSettingError, "dtype int64. Expected floats.*For token ids, run the model"),
        (torch.zeros(5, 128, dtype=torch.int32), BadSettingError, "dtype torch.int32"),
        (torch.zeros(5, 128).to_sparse(), BadSettingError, r"x.to_dense\(\)"),
        ("text", BadSettingError, "given str 'text'"),
        ([[0.0, 1.0], [2.0]], BadSettingError, "rows of unequal length"),
    ],
)
def test_what_are_no_vectors_of_the_dictionary_is_said_in_words(demo, x, error, says):
    with pytest.raises(error, match=says):
        demo.encode(x)


def test_activations_of_another_width_are_not_decoded(demo):
    with pytest.raises(DoesNotFitError, match=r"decode was given vectors of shape \(2, 128\).*d_sae of .*2,048"):
        demo.decode(np.zeros((2, 128), np.float32))


def test_a_dictionary_that_normalises_each_input_asks_for_the_input(tmp_path):
    sae = loupe.open(saved.write(tmp_path / "sae", normalize_activations="layer_norm"))
    x = vectors(shape=(5, saved.D_IN))
    acts = sae.encode(x)
    with pytest.raises(BadSettingError, match=r"decode\(acts, x\)"):
        sae.decode(acts)
    np.testing.assert_allclose(sae.decode(acts, x), sae.reconstruct(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(BadSettingError, match="same axes before the last"):
        sae.decode(acts, x[:2])


@pytest.mark.parametrize(
    "architecture",
    ["standard", "gated", "topk", "abstopk", "batchtopk", "jumprelu", "matryoshka_batchtopk", "matching_pursuit"],
)
def test_a_training_class_opens_by_its_inference_form(architecture, tmp_path):
    from sae_lens import SAE
    from sae_lens.saes.sae import TrainingSAE

    config = {"d_in": 8, "d_sae": 12, "architecture": architecture, "dtype": "float32", "device": "cpu"}
    config |= {"metadata": {"hook_name": "blocks.0.hook_resid_pre"}}
    config |= {"k": 3} if "topk" in architecture else {}
    config |= {"residual_threshold": 0.5, "max_iterations": 4} if architecture == "matching_pursuit" else {}
    config |= {"matryoshka_widths": [4, 12]} if "matryoshka" in architecture else {}
    trained = TrainingSAE.from_dict(config)
    trained.save_inference_model(tmp_path / "sae")
    inference = SAE.load_from_disk(str(tmp_path / "sae"))
    x = torch.from_numpy(vectors(shape=(6, 8)))
    found = loupe.open(trained, fold_decoder_norms=False)
    with torch.no_grad():
        torch.testing.assert_close(found.encode(x), inference.encode(x))
        torch.testing.assert_close(found.reconstruct(x), inference(x))


def test_a_sae_that_cannot_be_read_is_named_without_a_temporary_path(tmp_path):
    class Odd:
        cfg = SimpleNamespace(metadata=SimpleNamespace(hook_name="blocks.0.hook_resid_pre"))
        state_dict = None

        def save_model(self, folder):
            (saved.write(Path(folder)) / "cfg.json").write_text("{")

    with pytest.raises(LoupeError, match="the Odd in memory") as caught:
        loupe.open(Odd())
    assert tempfile.gettempdir() not in str(caught.value)
    Odd.cfg.metadata.hook_name = None
    with pytest.raises(BadSettingError, match=r"set sae\.cfg\.metadata\.hook_name"):
        loupe.open(Odd())


def test_files_of_the_hub_cache_which_are_links_open(tmp_path):
    blobs = saved.write(tmp_path / "blobs")
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(blobs.iterdir())):
        file.rename(blobs / f"{number:040x}")
        (snapshot / file.name).symlink_to(blobs / f"{number:040x}")
    (tmp_path / "latest").symlink_to(snapshot)
    for path in (snapshot, tmp_path / "latest"):
        assert loupe.open(path).d_sae == saved.D_SAE


@pytest.mark.parametrize(
    ("source", "how", "says"),
    [
        ("/no/such/folder", {}, "There is nothing at '/no/such/folder'"),
        (7, {}, "given int '7'"),
        ((1, 2), {}, "It may be the first of these"),
        (DEMO, {"model": "/no/such/model"}, "There is no folder '/no/such/model'.*model="),
        (DEMO, {"device": "gpu"}, "'gpu' is not a device"),
    ],
)
def test_what_cannot_be_opened_is_explained(source, how, says):
    with pytest.raises(LoupeError, match=says) as caught:
        loupe.open(source, **how).positions()
    assert not {"Download", "--root", "tmp"} & set(str(caught.value).split())


def test_a_model_that_is_not_here_is_asked_for_without_a_button(tmp_path):
    sae = loupe.open(saved.write(tmp_path / "sae", metadata={"model_name": "gpt2-xl"}))
    says = r"download\('gpt2-xl'\) \(the size is not known yet\), or give its folder as open\(..., model='PATH'\)"
    with pytest.raises(LoupeError, match=says) as caught:
        sae.positions()
    assert "Press" not in str(caught.value)
    with pytest.raises(LoupeError, match=says):
        sae.model  # noqa: B018


def test_what_an_error_says_beside_the_button_stays():
    error = NotDownloadedError("model", "gpt2", 10**9, what="tokenizer.json")
    error.args = (f"{error} Two models here fit.",)
    text = said(error)
    assert text.endswith("(1.00 GB), or give its folder as open(..., model='PATH'). Two models here fit.")
    assert "(tokenizer.json is missing)" in text
    error.args = (text,)
    assert said(error) == text


def test_completion_offers_the_calls_and_nothing_of_the_machinery(demo):
    offered = dir(demo)
    assert {"encode", "positions", "feature", "W_dec", "model"} <= set(offered)
    assert not [name for name in offered if name.startswith("_") or name in ("held", "store", "workspace")]
    for name in offered:
        assert name == "dictionary" or getattr(type(demo), name).__doc__, name


def test_what_is_on_the_hub_is_asked_for_by_a_call_and_then_opens(tmp_path, monkeypatch):
    folder = saved.write(tmp_path / "sae")
    with StandIn({"me/sae": folder}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        for call in (loupe.open, loupe.load_dictionary):
            with pytest.raises(NotDownloadedError, match=r"sae_loupe\.download\('hub/me/sae'\)") as caught:
                call("hub/me/sae")
            assert "Press" not in str(caught.value)
        assert not hub.requests
        loupe.download("hub/me/sae")
        assert loupe.open("hub/me/sae").sha256 == loupe.open(folder).sha256


def test_a_page_that_is_not_there_is_named_before_the_app_starts():
    with pytest.raises(LoupeError, match=r"no page called 'position'. Did you mean positions"):
        loupe.open_in_app(page="position")


def test_a_missing_text_model_is_no_such_path():
    with pytest.raises(NoSuchPathError):
        loupe.open(DEMO, model="nowhere")
