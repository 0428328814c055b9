"""Files that are damaged, odd or hostile give a named error or a correct load, and nothing in them is run."""

import io
import json
import pickle
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import open_dictionary
from core.errors import BadDictionaryError, LoupeError, PathNotAllowedError
from core.workspace import Workspace
from tests.doubles.foreign import CASES, Case, write_arrays

ONE_OF_EACH = ["AutoEncoder", "JumpReluAutoEncoder", "sparsify", "one .npz", "OpenAI TopK", "hook_z"]
FOLDED = ["Llamascopium scaled", "overcomplete batch norm"]
"""Formats whose numbers are folded into each other: one that is flipped changes several."""
FLIPS, CUTS = 24, 6
UNUSED = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square", "k", "group_sizes")
UNUSED += ("encoder.final_block.1.num_batches_tracked",)
"""Counts and groups are no weights, and k is in the config as well."""
OTHER_WIDTH = ("Gemma Scope transcoder", "w_enc")
"""Of a format that does not say the width that is read."""


def attempt(root: Path, path: Path) -> Dictionary | None:
    """Open what was written; None for a named error. Any other exception fails the test."""
    with suppress(LoupeError):
        dictionary = open_dictionary(f"folder/{path}", Workspace(roots=(root,)), fold_decoder_norms=False)
        assert dictionary.W_enc.shape == (dictionary.d_in, dictionary.d_sae)
        return dictionary
    return None


def refused(root: Path, path: Path, match: str, error: type[LoupeError] = BadDictionaryError) -> None:
    with pytest.raises(error, match=match):
        open_dictionary(f"folder/{path}", Workspace(roots=(root,)))


def differing(one: Dictionary, other: Dictionary) -> int:
    """Count values that differ between two dictionaries' weights."""
    pairs = [(one._tensors[name], other._tensors[name]) for name in one._tensors]
    return sum(int((a != b).sum()) for a, b in pairs)


def rezip(path: Path, change: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    """Write an archive anew, with sound checksums and the parts of `change` (by the end of their names) replaced."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, next((new for end, new in change.items() if name.endswith(end)), data))


def part(path: Path, end: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return next(archive.read(info) for info in archive.infolist() if info.filename.endswith(end))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_flipped_bits_are_noticed_or_change_one_number_at_most(tmp_path, name):
    case, rng = CASES[name], np.random.default_rng(0)
    path = case.write(tmp_path)
    whole, file = attempt(tmp_path, path), tmp_path / case.weights
    data = file.read_bytes()
    refusals = 0
    for position in [*range(4), *rng.integers(len(data), size=FLIPS)]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        found = attempt(tmp_path, path)
        refusals += found is None
        # Archives have checksums; safetensors has none, so a flipped number is as good as any other.
        assert found is None or differing(found, whole) <= file.name.endswith(".safetensors")
    assert refusals >= 4


@pytest.mark.parametrize("name", ONE_OF_EACH + FOLDED)
def test_truncated_files_are_refused_at_any_length(tmp_path, name):
    case = CASES[name]
    path, file = case.write(tmp_path), tmp_path / case.weights
    data = file.read_bytes()
    for length in np.linspace(0, len(data) - 1, CUTS).astype(int):
        file.write_bytes(data[:length])
        assert attempt(tmp_path, path) is None


@pytest.mark.parametrize("name", CASES)
def test_missing_arrays_are_named(tmp_path, name):
    case = CASES[name]
    path = case.write(tmp_path)
    for lacking in case.arrays:
        write_arrays(
            tmp_path / case.weights, {n: array for n, array in case.arrays.items() if n != lacking}, case.extra
        )
        found = attempt(tmp_path, path)
        # Older files lack a multiplier; without thresholds, or lengths of inputs, a page says what is unsure.
        unused = (*UNUSED, "dictionary.multiplier", "thresholds")
        spare = lacking in unused or (lacking == "threshold" and case.architecture == "topk")
        spare |= lacking.startswith("dataset_average_activation_norm")
        assert (found is not None) == spare


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("change", ["doubled", "flat", "empty", "whole numbers", "NaN", "complex", "one number"])
def test_arrays_of_another_shape_or_kind_are_refused(tmp_path, name, change):
    case = CASES[name]
    path = case.write(tmp_path)
    for odd in [name for name, array in case.arrays.items() if array.size > 1 and name not in UNUSED]:
        # One threshold may stand for all features, and a transcoder may read another width than it writes.
        if (change, odd) == ("one number", "threshold") or (change, name, odd) == ("doubled", *OTHER_WIDTH):
            continue
        array = case.arrays[odd]
        new = {
            "doubled": np.concatenate([array, array]),
            "flat": array.reshape(1, -1, 1),
            "empty": array[:0],
            "whole numbers": array.astype(np.int32),
            "NaN": np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array).astype(np.float32),
            "complex": array.astype(np.complex64),
            "one number": np.float32(1),
        }[change]
        try:
            write_arrays(tmp_path / case.weights, case.arrays | {odd: np.ascontiguousarray(new)}, case.extra)
        except KeyError:  # safetensors writes no complex numbers
            assert (change, Path(case.weights).suffix) == ("complex", ".safetensors")
            continue
        assert attempt(tmp_path, path) is None, odd


ODD = [None, True, -1, 0, 3.5, 1e308, 10**30, "", "x", "\0", "<script>", "9" * 5000, "../../etc", [], [[]], {"a": {}}]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("AutoEncoder", "config.json"),
        ("AutoEncoderTopK", "config.json"),
        ("AutoEncoder transcoder", "config.json"),
        ("sparsify skip", "layers.5/cfg.json"),
        ("sparsify skip", "config.json"),
        ("hook_z", "gpt2-small_L1_Hcat_z_cfg.json"),
        ("Llamascopium scaled", "L3R/config.json"),
        ("Llama Scope", "Llama3_1-8B-Base-L5R-8x/hyperparams.json"),
        ("overcomplete TopK", "config.json"),
    ],
)
def test_an_odd_value_anywhere_in_a_config_is_refused_or_harmless(tmp_path, name, config):
    case = CASES[name]
    path, said = case.write(tmp_path), json.loads(json.dumps(case.configs[config]))
    groups = [said] + [value for value in said.values() if isinstance(value, dict)]
    opened = 0
    for group in groups:
        for field in list(group):
            kept = group[field]
            for value in ODD:
                group[field] = value
                (tmp_path / config).write_text(json.dumps(said))
                opened += attempt(tmp_path, path) is not None
            group[field] = kept
    assert opened  # at least what is no business of ours


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, b" " * (5 * 2**20) + b"{}"])
def test_a_config_that_is_no_object_is_refused_or_left_aside(tmp_path, text):
    for name, config in (("AutoEncoder", "config.json"), ("sparsify", "layers.5/cfg.json")):
        path = CASES[name].write(tmp_path)
        (tmp_path / config).write_bytes(text)
        assert attempt(tmp_path, path) is None


@pytest.mark.parametrize("name", ["AutoEncoder", "OpenAI TopK"])
def test_a_pickle_with_changed_bytes_and_sound_checksums_runs_nothing(tmp_path, name):
    case, rng = CASES[name], np.random.default_rng(1)
    path, file = case.write(tmp_path), tmp_path / case.weights
    whole, data = file.read_bytes(), part(file, "data.pkl")
    refusals = 0
    for _ in range(60):
        damaged = bytearray(data)
        damaged[int(rng.integers(len(data)))] = int(rng.integers(256))
        file.write_bytes(whole)
        rezip(file, {"data.pkl": bytes(damaged)})
        refusals += attempt(tmp_path, path) is None
    assert refusals > 20


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.write_text, (self.marker, "ran"))


def test_payloads_in_pickles_are_never_run(tmp_path):
    import torch

    case, marker = CASES["AutoEncoder"], tmp_path / "marker"
    path = case.write(tmp_path)
    weights = {name: torch.from_numpy(array) for name, array in case.arrays.items()}
    file, hidden = tmp_path / "ae.pt", weights | {"x": Payload(marker)}
    torch.save(hidden, file)
    refused(
        tmp_path,
        path,
        "cannot be read as a file of torch.save .it holds more than tensors and plain values .its code is not run",
    )
    torch.save(weights, file)
    rezip(file, {"data.pkl": pickle.dumps(Payload(marker)) + b"encoder.weightdecoder.weight"})
    refused(tmp_path, path, "it holds more than tensors")
    file.write_bytes(pickle.dumps(hidden))
    refused(tmp_path, f"{path}#format=dictionary_learning", "no zip archive")
    torch.save(hidden, file, _use_new_zipfile_serialization=False)
    refused(tmp_path, f"{path}#format=dictionary_learning", "no zip archive.*saved by torch 1.6")
    array = np.array([Payload(marker)], dtype=object)
    np.savez(tmp_path / "mine.npz", **CASES["one .npz"].arrays | {"b_dec": array}, allow_pickle=True)
    refused(tmp_path, tmp_path / "mine.npz", "b_dec.npy holds object, not numbers.*without pickled objects")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()  # it would have written


def npy(header: dict[str, object], data: bytes = b"") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue() + data


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}, "says 4,000,000,000,000 bytes and has 32"),
        ({"descr": "<f4", "fortran_order": False, "shape": (-2, -4)}, "cannot be read as an .npz"),
        ({"descr": "<U8", "fortran_order": False, "shape": (1,)}, "holds <U8, not numbers"),
        ({"descr": "<c8", "fortran_order": False, "shape": (4,)}, "holds complex64, not numbers"),
        ({"descr": [("a", "<f4")], "fortran_order": False, "shape": (8,)}, "not numbers"),
    ],
)
def test_npy_headers_that_say_other_than_is_there_are_refused(tmp_path, said, match):
    path = CASES["one .npz"].write(tmp_path)
    rezip(path, {"b_dec.npy": npy(said, bytes(32))})
    refused(tmp_path, path, match)


@pytest.mark.parametrize(
    "header", [b"", b"\x93NUMPY", b"\x93NUMPY\x03\x00", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", b"x" * 99]
)
def test_npy_headers_that_are_none_are_refused(tmp_path, header):
    path = CASES["one .npz"].write(tmp_path)
    rezip(path, {"b_dec.npy": header})
    refused(tmp_path, path, "cannot be read as an .npz archive of arrays .*copy or download it again")


def test_npy_headers_with_changed_bytes_give_a_named_error_or_load(tmp_path):
    path, rng = CASES["one .npz"].write(tmp_path), np.random.default_rng(2)
    whole, data = path.read_bytes(), part(path, "b_dec.npy")
    for _ in range(60):
        damaged = bytearray(data)
        damaged[int(rng.integers(80))] = int(rng.integers(256))
        path.write_bytes(whole)
        rezip(path, {"b_dec.npy": bytes(damaged)})
        attempt(tmp_path, path)


def test_archives_that_unpack_to_far_more_than_they_are_are_refused(tmp_path):
    path = CASES["one .npz"].write(tmp_path)
    rezip(path, {"b_dec.npy": bytes(80 * 2**20)}, zipfile.ZIP_DEFLATED)
    refused(tmp_path, path, "would unpack to 8")
    path = CASES["AutoEncoder"].write(tmp_path)
    rezip(path / "ae.pt", {}, zipfile.ZIP_DEFLATED)
    refused(tmp_path, f"{path}#format=dictionary_learning", "compressed or larger than the file")


def test_a_tensor_that_repeats_few_stored_numbers_is_refused_before_it_is_unfolded(tmp_path):
    import torch

    case = CASES["AutoEncoder"]
    path = case.write(tmp_path)
    huge = torch.zeros(1).expand(10**7, 10**7)  # 400 TB, if it were written out
    torch.save({n: torch.from_numpy(a) for n, a in case.arrays.items()} | {"encoder.weight": huge}, path / "ae.pt")
    refused(tmp_path, path, r"encoder.weight of shape \(10000000, 10000000\) is larger than what is stored of it")


@pytest.mark.parametrize("kind", ["sparse", "meta", "list"])
def test_tensors_of_other_kinds_are_refused(tmp_path, kind):
    import torch

    path = CASES["AutoEncoder"].write(tmp_path)
    weights = {name: torch.from_numpy(array) for name, array in CASES["AutoEncoder"].arrays.items()}
    bias = weights["bias"]
    odd = {"sparse": bias.to_sparse, "meta": lambda: bias.to("meta"), "list": bias.tolist}[kind]()
    torch.save(weights | {"bias": odd}, path / "ae.pt")
    assert attempt(tmp_path, path) is None


@pytest.mark.parametrize("length", [2**60, 2**31, 99_999_999, 0])
def test_safetensors_with_a_header_of_an_absurd_length_are_refused(tmp_path, length):
    path = CASES["sparsify"].write(tmp_path)
    file = path / "sae.safetensors"
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
    refused(tmp_path, path, "cannot be read as safetensors")


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("sparsify ")])
def test_files_that_link_outside_are_refused_whatever_they_hold(tmp_path, name):
    case: Case = CASES[name]
    case.write(tmp_path / "outside")
    path, file = case.write(tmp_path / "root"), tmp_path / "root" / case.weights
    file.unlink()
    file.symlink_to(tmp_path / "outside" / case.weights)
    with pytest.raises((PathNotAllowedError, BadDictionaryError)):
        open_dictionary(f"folder/{path}", Workspace(roots=(tmp_path / "root",)))
    for climbing in (f"../outside/{case.path}", f"{tmp_path}/outside/{case.path}", f"{case.path}/../../outside"):
        refused(
            tmp_path / "root", Path(climbing), "is not a folder or file that|There is nothing at", PathNotAllowedError
        )


@pytest.mark.parametrize(
    ("name", "config"), [("AutoEncoder", "config.json"), ("sparsify", "layers.5/cfg.json"), ("sparsify", "config.json")]
)
def test_configs_that_link_outside_are_not_read(tmp_path, name, config):
    case = CASES[name]
    case.write(tmp_path / "outside")
    path = case.write(tmp_path / "root")
    (tmp_path / "root" / config).unlink()
    (tmp_path / "root" / config).symlink_to(tmp_path / "outside" / config)
    found = attempt(tmp_path / "root", path)
    assert found is None or (found.config.model_name, found.config.context_size) == (None, None)


def test_weights_of_one_class_under_the_name_of_another_are_refused(tmp_path):
    cases = {name: case for name, case in CASES.items() if case.format == "dictionary_learning" and case.path == "."}
    for said, config in cases.items():
        for held, weights in cases.items():
            config.write(tmp_path)
            write_arrays(tmp_path / "ae.pt", weights.arrays)
            # TopK and BatchTopK dictionaries are saved alike, and so are transcoders.
            alike = config.arrays.keys() == weights.arrays.keys()
            assert (attempt(tmp_path, tmp_path) is not None) == alike, (said, held)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_arrays_that_no_such_dictionary_has_are_named(tmp_path, name):
    case = CASES[name]
    path = case.write(tmp_path)
    write_arrays(tmp_path / case.weights, case.arrays | {"W_skip": np.eye(8, dtype=np.float32)}, case.extra)
    refused(tmp_path, path, "has W_skip besides; found .*check that it is whole and goes with its config")
