"""The feature that is shown first has examples that a person can read."""

from dataclasses import replace

import numpy as np
import pytest

from core.activations.token_pass import activation_pass
from core.feature.clearest import clearest_feature
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    """Statistics of 12 features on 20 rows of 101 tokens; each test puts its own counts and sums into them."""
    root = tmp_path_factory.mktemp("clearest")
    model = planted_model(root, n_ctx=128)
    rows = np.random.default_rng(0).integers(0, 257, (20, 101)).astype(np.int32)
    return activation_pass(planted_dictionary(), model, rows, ArtifactStore(root))


def planted(statistics, later: dict[int, tuple[int, float]], first: dict[int, tuple[int, float]] | None = None):
    """Let features be active on so many tokens with these means, at later positions and at the first."""
    count, total = np.zeros_like(statistics.count), np.zeros_like(statistics.total)
    for row, features in enumerate((first or {}, later)):
        for feature, (tokens, mean) in features.items():
            count[row, feature], total[row, feature] = tokens, tokens * mean
    return replace(statistics, count=count, total=total)


def test_of_readable_features_the_one_with_the_largest_mean_is_clearest(statistics):
    assert clearest_feature(planted(statistics, {2: (10, 3.0), 5: (20, 4.0), 6: (15, 2.0)})) == 5


def test_a_feature_on_few_tokens_or_on_many_is_passed_over(statistics):
    assert clearest_feature(planted(statistics, {1: (9, 9.0), 2: (10, 1.0), 3: (21, 9.0)})) == 2


def test_position_0_does_not_count(statistics):
    assert clearest_feature(planted(statistics, {2: (10, 1.0)}, first={7: (20, 50.0)})) == 2


def test_without_readable_features_any_active_one_will_do(statistics):
    assert clearest_feature(planted(statistics, {1: (3, 2.0), 4: (900, 1.0)})) == 1
    assert clearest_feature(planted(statistics, {})) is None
