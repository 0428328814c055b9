"""Odd numbers, texts and disks: an error of the family, short, or the right value."""

import errno
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.dictionaries.sources import open_dictionary
from core.errors import BadDictionaryError, LoupeError
from core.notebook import load_dictionary
from core.workspace import Workspace
from tests.doubles import saved
from tests.doubles.foreign import CASES, write_arrays

CONFIGS = {
    "sae-lens": "cfg.json",
    "AutoEncoder": "config.json",
    "AutoEncoderTopK": "config.json",
    "sparsify": "layers.5/cfg.json",
    "Gemma Scope 2": "layer_3_width_16k_l0_small/config.json",
    "hook_z": "gpt2-small_L1_Hcat_z_cfg.json",
}


def written(tmp_path, name: str) -> tuple[Path, Path]:
    """Write a dictionary; return what to open and its config."""
    path = saved.write(tmp_path) if name == "sae-lens" else CASES[name].write(tmp_path)
    return path, tmp_path / CONFIGS[name]


def said_of(path: Path) -> str:
    """Open a dictionary and run it; return what the error says, and nothing where there is none."""
    try:
        dictionary = load_dictionary(path)
        assert dictionary.sha256
        repr(dictionary).encode()
        dictionary.encode(np.zeros((2, dictionary.d_in), np.float32))
    except LoupeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308, "\ud800", "x" * 10_000, [[]] * 1000, None, True])
def test_an_odd_value_of_any_key_gives_a_short_error_or_none(tmp_path, name, value):
    path, config = written(tmp_path, name)
    said = json.loads(config.read_text())
    for group in [said, *(inner for inner in said.values() if isinstance(inner, dict))]:
        for key in [*group, "unheard_of"]:
            kept = group.get(key)
            group[key] = value
            config.write_text(json.dumps(said))
            message = said_of(path)
            assert len(message) < 1500, key
            message.encode()
            group[key] = kept
            if kept is None:
                del group[key]


def test_half_a_character_in_a_config_is_refused(tmp_path):
    path, config = written(tmp_path, "sae-lens")
    config.write_text(config.read_text().replace('"planted"', '"\\ud800"'))
    assert "cfg.json is not valid JSON" in said_of(path)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("name", ["sae-lens", "AutoEncoder", "AutoEncoder transcoder", "one .npz", "sparsify skip"])
def test_weights_that_are_no_floats_are_named(tmp_path, kind, name):
    if name == "sae-lens":
        arrays = saved.numpy_weights()
        path, file = saved.write(tmp_path), tmp_path / "sae_weights.safetensors"
    else:
        arrays = CASES[name].arrays
        path, file = CASES[name].write(tmp_path), tmp_path / CASES[name].weights
    for odd in arrays:
        write_arrays(file, arrays | {odd: (arrays[odd] > 0).astype(kind)})
        # The reader of Gemma Scope has given arrays the field's names by then.
        message = said_of(path).lower()
        assert f"{odd} holds {np.dtype(kind)} values, expected floating-point weights".lower() in message


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".npz"])
def test_a_file_of_very_many_tensors_is_refused_in_a_line(tmp_path, ending):
    arrays = {f"W_enc.{i}" if i else "W_enc": np.zeros((1, 1), np.float32) for i in range(3000)}
    write_arrays(tmp_path / f"a{ending}", arrays | {"W_dec": np.zeros((1, 1), np.float32)})
    message = said_of(Path(f"{tmp_path}/a{ending}#format=plain"))
    assert "holds 3,001 tensors; expected at most 2,000" in message
    assert len(message) < 500


@pytest.mark.parametrize("size", [1e25, 3e38])
def test_weights_that_are_infinite_once_folded_open_as_stored_alone(tmp_path, size):
    weights = saved.numpy_weights()
    weights["W_dec"] = np.full_like(weights["W_dec"], size)
    weights["W_enc"] = np.full_like(weights["W_enc"], 1e20)
    path = saved.write(tmp_path, weights=weights)
    with pytest.raises(BadDictionaryError, match=r"no finite float32 numbers.*switch the folding of decoder norms off"):
        load_dictionary(path)
    np.testing.assert_array_equal(load_dictionary(path, fold_decoder_norms=False).W_dec, weights["W_dec"])


def test_long_rows_are_folded_right_where_the_products_are_finite(tmp_path):
    weights = saved.numpy_weights()
    weights["W_dec"] = np.full_like(weights["W_dec"], 1e25)
    dictionary = load_dictionary(saved.write(tmp_path, weights=weights))
    np.testing.assert_allclose(np.linalg.norm(dictionary.W_dec, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("call", ["stat", "read_text", "is_file"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_disk_that_fails_is_an_error_of_the_family(tmp_path, monkeypatch, name, number, call):
    path, config = written(tmp_path, name)
    original = getattr(Path, call)

    def failing(self, *args, **kwargs):
        if self.name == config.name:
            raise OSError(number, "the disk fails")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, call, failing)
    for opened in (load_dictionary, lambda path: open_dictionary(f"folder/{path}", Workspace(roots=(tmp_path,)))):
        with suppress(LoupeError):  # any other error fails the test
            opened(path)


def test_the_error_of_a_disk_names_file_and_reason(tmp_path, monkeypatch):
    path, _ = written(tmp_path, "sae-lens")

    def failing(self, **_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_text", failing)
    with pytest.raises(BadDictionaryError, match=r"cfg.json cannot be read .Input/output error.*check its rights"):
        load_dictionary(path)


def test_a_weights_file_that_is_a_folder_or_vanishes_is_named(tmp_path):
    path, _ = written(tmp_path, "sae-lens")
    (path / "sae_weights.safetensors").unlink()
    assert "has a cfg.json but no sae_weights.safetensors" in said_of(path)
    (path / "sae_weights.safetensors").mkdir()
    assert "has a cfg.json but no sae_weights.safetensors" in said_of(path)


def test_a_temporal_dictionary_of_nulls_is_refused_when_it_is_run(tmp_path):
    save_file(saved.numpy_weights(), tmp_path / "x.safetensors")
    path = saved.save(tmp_path / "temporal", "temporal")
    said = json.loads((path / "cfg.json").read_text())
    for key in said:
        (path / "cfg.json").write_text(json.dumps(said | {key: None}))
        message = said_of(path)
        assert len(message) < 1500, key
