"""Rows of token ids, dictionaries of all kinds and dense activations, for tests of the token pass."""

import dataclasses

import numpy as np

from tests.planted import planted_dictionary

ROWS = np.random.default_rng(1).integers(0, 257, (11, 7))


def planted(architecture: str, **options):
    needs = {"max_iterations": 3, "residual_threshold": 0.01, "k": 3} if architecture == "matching_pursuit" else None
    return planted_dictionary(architecture, extra=needs, **options)


def dense(dictionary, model, rows=ROWS) -> np.ndarray:
    return dictionary.encode(model.activations(rows, dictionary.config.hook_name))


def assert_same(a, b) -> None:
    for field in dataclasses.fields(a):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)
