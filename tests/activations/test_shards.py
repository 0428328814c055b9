"""A token pass in parts gives the artifacts of one pass, whoever computes which part."""

import dataclasses

import numpy as np
import pytest
from safetensors import safe_open

from core.activations import store as stores
from core.activations.shards import PassPart, merged_pass, pass_part, shards
from core.activations.statistics import ActivationStatistics
from core.activations.token_pass import activation_pass
from core.corpus.streams import rows_sha256
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model

ROWS = np.random.default_rng(1).integers(0, 257, size=(11, 7))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(stores, "_TOKENS_PER_BLOCK", 14)
    monkeypatch.setattr(stores, "_LEAST_ROWS", 2)


def same(a, b) -> bool:
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name), equal_nan=True)
        for field in dataclasses.fields(a)
    )


def content(path) -> str:
    with safe_open(path, framework="numpy") as file:
        return file.metadata()["sha256"]


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_parts_are_whole_blocks_and_cover_every_row_once(n):
    parts = shards(11, 7, n)
    assert len(parts) == min(n, 6)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(11))
    assert all(part.start % 2 == 0 for part in parts)


@pytest.mark.parametrize("architecture", ["standard", "topk", "transcoder"])
def test_merged_parts_are_one_pass_to_the_bit_and_leave_the_same_files(tmp_path, architecture):
    dictionary, model = planted_dictionary(architecture), planted_model(tmp_path)
    one, many = ArtifactStore(tmp_path / "one"), ArtifactStore(tmp_path / "many")
    whole = activation_pass(dictionary, model, ROWS, one, left_out=(3,))
    parts = shards(11, 7, 3)
    for part in reversed(parts):
        pass_part(dictionary, model, ROWS[part], many, left_out=(3,))
    merged = merged_pass(dictionary, model, ROWS, parts, many, left_out=(3,))
    assert same(merged, whole)
    files = {path.name for path in one.root.iterdir()}
    others = {path.name for path in many.root.iterdir()} - files
    assert files <= {path.name for path in many.root.iterdir()}
    assert [name.partition("-v")[0] for name in others] == ["pass-part"] * 3
    assert all(content(one.root / name) == content(many.root / name) for name in files)


def test_a_merge_computes_the_parts_that_nobody_did(tmp_path):
    dictionary, model = planted_dictionary(), planted_model(tmp_path)
    store, parts = ArtifactStore(tmp_path / "store"), shards(11, 7, 3)
    pass_part(dictionary, model, ROWS[parts[1]], store)
    assert same(merged_pass(dictionary, model, ROWS, parts, store), activation_pass(dictionary, model, ROWS, None))


def test_a_part_keeps_all_of_a_tally(tmp_path):
    dictionary, model, store = planted_dictionary(), planted_model(tmp_path), ArtifactStore(tmp_path / "store")
    part = pass_part(dictionary, model, ROWS, store)
    key = PassPart.key(dictionary.sha256, model.sha256, rows_sha256(ROWS))
    assert same(PassPart.of(store.load(PassPart, key).tally()), part)
    assert isinstance(part.tally().finish(), ActivationStatistics)
