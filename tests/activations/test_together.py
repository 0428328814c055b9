"""One run of a model feeds the token passes of several dictionaries: each is the pass alone, to the bit."""

from collections import Counter

import numpy as np
import pytest
from safetensors import safe_open

from core.activations import store as stores
from core.activations.shards import pass_part
from core.activations.together import parts_together
from core.errors import CancelledError, DoesNotFitError, LoupeError
from core.models.language_model import LanguageModel
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, planted
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched

HOOKS = ("blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre", "blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out")
KINDS = ("standard", "topk", "transcoder", "temporal", "gated")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(stores, "_TOKENS_PER_BLOCK", 14)
    monkeypatch.setattr(stores, "_LEAST_ROWS", 2)


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path)


@pytest.fixture
def runs(monkeypatch):
    """For each run of the model the hooks that it read."""
    told, run = [], LanguageModel.activations_of

    def watched(self, tokens, hooks):
        told.append(tuple(hooks))
        return run(self, tokens, hooks)

    monkeypatch.setattr(LanguageModel, "activations_of", watched)
    return told


def layers() -> list:
    return [planted_dictionary(seed=i, d_sae=9 + i, hook_name=hook) for i, hook in enumerate(HOOKS)]


def contents(store: ArtifactStore) -> dict[str, str]:
    found = {}
    for path in store.root.iterdir():
        with safe_open(path, framework="numpy") as file:
            found[path.name] = file.metadata()["sha256"]
    return found


def alone(dictionaries, model, root, **how) -> tuple[list, dict[str, str]]:
    store = ArtifactStore(root)
    return [pass_part(one, model, ROWS, store, **how) for one in dictionaries], contents(store)


@pytest.mark.parametrize("left_out", [(), (3, 250)])
def test_dictionaries_of_all_layers_get_what_each_gets_alone_from_one_run_for_each_block(
    tmp_path, model, runs, left_out, device
):
    how = {"left_out": left_out, "device": device}
    expected, files = alone(layers(), model, tmp_path / "alone", **how)
    runs.clear()
    store = ArtifactStore(tmp_path / "together")
    found = parts_together(layers(), model, ROWS, store, **how)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    assert contents(store) == files
    if not device.runs_kernels:
        assert Counter(runs) == {tuple(dict.fromkeys(HOOKS)): 6}


def test_all_kinds_of_dictionaries_get_what_each_gets_alone(tmp_path, model):
    kinds = [planted(kind) for kind in KINDS]
    expected, files = alone(kinds, model, tmp_path / "alone")
    store = ArtifactStore(tmp_path / "together")
    for one, other in zip(parts_together(kinds, model, ROWS, store), expected, strict=True):
        assert_same(one, other)
    assert contents(store) == files


def test_only_what_is_missing_is_read_again(tmp_path, model, runs):
    store, some = ArtifactStore(tmp_path / "store"), layers()
    pass_part(some[0], model, ROWS, store)
    with pytest.raises(CancelledError):
        parts_together(some, model, ROWS, store, progress=Watched(stop_at=40))
    done = len(runs)
    expected, files = alone(layers(), model, tmp_path / "alone")
    before = len(runs)
    found = parts_together(some, model, ROWS, store)
    assert 0 < len(runs) - before < 6
    assert done
    assert all(HOOKS[0] not in hooks for hooks in runs[before:])
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    before = len(runs)
    parts_together(some, model, ROWS, store)
    assert len(runs) == before
    assert contents(store) == files


def test_one_that_fails_in_the_middle_leaves_the_others_as_they_are_alone(tmp_path, model):
    good, bad = layers()[:2], planted_dictionary(seed=5, hook_name=HOOKS[1], tensors={"b_dec": np.full(8, 1e30)})
    nowhere = planted_dictionary(seed=6, hook_name="blocks.9.hook_resid_pre")
    expected, _ = alone(good, model, tmp_path / "alone")
    found = parts_together([good[0], bad, nowhere, good[1]], model, ROWS, ArtifactStore(tmp_path / "together"))
    assert_same(found[0], expected[0])
    assert_same(found[3], expected[1])
    assert isinstance(found[1], DoesNotFitError)
    assert "Expected activations and lengths up to" in str(found[1])
    assert isinstance(found[2], LoupeError)
    assert "blocks.9" in str(found[2])


def test_several_hooks_are_read_in_one_run_to_the_bit_of_each_alone(model):
    names = [*HOOKS, "blocks.0.hook_mlp_out", "blocks.1.hook_attn_out"]
    found = model.activations_of(ROWS, names)
    assert set(found) == set(names)
    for name in names:
        np.testing.assert_array_equal(found[name], model.activations(ROWS, name))
