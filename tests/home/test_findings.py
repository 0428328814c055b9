"""What the first page says of results that are known."""

import numpy as np
import pandas as pd

from core.activations.sparse import SparseActivations
from core.dictionaries.sources import Entry, differ_in_seed
from core.geometry.neighbors import Neighbors
from core.home import findings
from core.splitting.tables import most_split
from core.text.features import TextFeatures

LABELS = {"type": "standard", "width": 64, "layer": 2, "data": "all"}


def entry(id: str, **labels) -> Entry:
    return Entry(id, id, "blocks.2.hook_resid_pre", "model", "standard", 64, LABELS | labels)


def children(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["feature", "d_sae", "n_children", "best_child_cosine"])


def text_features() -> TextFeatures:
    """Features 4 and 7 on the first of three tokens, feature 2 on the last."""
    acts = SparseActivations(
        features=np.array([4, 7, 2], np.int32), acts=np.array([1, 3, 2], np.float32), ends=np.array([2, 2, 3]), d_sae=9
    )
    return TextFeatures(acts, np.zeros(3, np.int64), np.arange(3), np.zeros(3), np.ones(3))


def test_the_strongest_feature_on_a_token_is_named_with_the_number_of_others():
    found = findings.firing(text_features(), 0, "'import'")
    assert found.said == "Feature 7 fires on 'import', the strongest of 2 that do."
    assert found.query == {"feature": "7"}


def test_of_one_active_feature_no_others_are_said():
    assert findings.firing(text_features(), 2, "'x'").said == "Feature 2 fires on 'x'."


def test_a_token_on_which_nothing_is_active_leads_to_no_feature():
    found = findings.firing(text_features(), 1, "'x'")
    assert (found.said, found.query) == ("No feature fires on 'x'.", {})


def test_a_text_uses_each_active_feature_once():
    assert findings.used(text_features(), 9).said == "3 tokens of an example use 3 of the 9 features."


def test_the_feature_with_the_most_children_in_the_widest_dictionary_splits_most():
    table = children((0, 8, 9, 0.9), (0, 16, 1, 0.9), (1, 16, 3, 0.8), (2, 16, 3, 0.7))
    assert most_split(table) == (2, 3)  # of two with three children, the one that changed more
    found = findings.splitting(table, (4, 16))
    assert found.said == "Feature 2 of 4 becomes 3 features of 16."
    assert found.query == {"feature": "2"}


def test_no_feature_splits_where_none_has_two_children():
    table = children((0, 16, 1, 0.9), (1, 16, 0, 0.2))
    assert most_split(table) is None
    assert "No feature of the 4 has more than one child among 16" in findings.splitting(table, (4, 16)).said


def test_features_with_a_near_copy_are_counted_and_those_without_direction_are_not():
    cos = np.array([[0.95], [0.9], [-0.99], [np.nan]], np.float32)
    near = Neighbors(cos, np.array([[1], [0], [0], [-1]]), np.array([3]))
    assert findings.coinciding(near).said == "1 feature has a neighbour with a cosine over 0.9."


def test_a_pair_of_seeds_differs_in_nothing_else():
    one, two = entry("demo/a", seed=0), entry("demo/b", seed=1)
    assert differ_in_seed(one, two)
    assert not differ_in_seed(one, one)
    assert not differ_in_seed(one, entry("demo/c", seed=1, data="prose"))
    assert not differ_in_seed(entry("demo/d"), entry("demo/e"))  # nothing is known of their seeds


def test_the_picked_dictionary_comes_first_in_a_pair_of_seeds():
    listed = [entry("demo/x", width=8), entry("demo/a", seed=0), entry("demo/b", seed=1)]
    for picked, pair in (("demo/b", ("demo/b", "demo/a")), ("demo/x", ("demo/a", "demo/b"))):
        assert tuple(found.id for found in findings.seed_pair(listed, picked)) == pair
    assert findings.seed_pair(listed[:2], "demo/a") is None
