"""Joint maps and the steps between the layers of a series."""

from dataclasses import replace

import numpy as np
import pytest

from core.catalogue import STATISTICS
from core.errors import DoesNotFitError
from core.feature_map.layer_series import LayerLinks, layer_links, layer_steps, step_table, trail, what_becomes_of
from core.feature_map.layout import LayoutSettings, layout
from core.feature_map.stack import joint_directions
from core.geometry.neighbors import nearest_features
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary
from tests.doubles.watched import Watched

HOOKS = [f"blocks.{layer}.hook_resid_pre" for layer in range(3)]


def series(permutations, *, d=6, d_sae=9):
    """Dictionaries at one hook after the other; feature i of the first goes on as permutations[..][i]."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(d_sae, d))]
    for permutation in permutations:
        following = np.empty_like(rows[-1])
        following[permutation] = rows[-1] + 0.01 * rng.normal(size=rows[-1].shape)
        rows.append(following)
    return [
        planted_dictionary(d_in=d, d_sae=d_sae, tensors={"W_dec": W_dec}, hook_name=hook, title=hook, seed=layer)
        for layer, (W_dec, hook) in enumerate(zip(rows, HOOKS, strict=True))
    ]


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(1)
    permutations = [rng.permutation(9) for _ in range(2)]
    stack = joint_directions(series(permutations), "decoder")
    return permutations, stack, layer_links(stack)


def test_a_stack_says_where_each_row_comes_from(planted):
    _, stack, _ = planted
    assert stack.count == 3
    assert stack.directions.shape == (27, 6)
    assert [(stack.rows(i).start, stack.rows(i).stop) for i in range(3)] == [(0, 9), (9, 18), (18, 27)]
    assert stack.dictionary[17] == 1
    assert stack.feature[17] == 8


def test_features_are_matched_to_where_they_went(planted):
    permutations, stack, links = planted
    for step, permutation in enumerate(permutations):
        assert links.match[stack.rows(step)].tolist() == permutation.tolist()
        assert (links.cos[stack.rows(step)] > 0.99).all()
    assert (links.match[stack.rows(2)] == -1).all()
    assert np.isnan(links.cos[stack.rows(2)]).all()


def test_each_step_leads_to_where_the_match_stands(planted):
    _, stack, links = planted
    found = layout(stack.directions, nearest_features(stack.directions, k=10), LayoutSettings("pca"))
    steps = layer_steps(stack, found, links)
    assert len(steps) == 2
    for number, step in enumerate(steps):
        for i in range(9):
            target = stack.rows(number + 1).start + step.match[i]
            assert (step.to_x[i], step.to_y[i]) == (found.x[target], found.y[target])
            assert step.x[i] == found.x[stack.rows(number).start + i]
    table = step_table(steps)
    assert len(table) == 18
    assert set(table.columns) <= set(STATISTICS)


def test_a_feature_without_finite_weights_goes_nowhere(planted):
    broken = planted[1].directions.copy()
    broken[2] = np.nan
    stack = replace(planted[1], directions=broken)
    links = layer_links(stack)
    found = layout(stack.directions, nearest_features(stack.directions, k=10), LayoutSettings("pca"))
    step = layer_steps(stack, found, links)[0]
    assert step.match[2] == -1
    assert np.isnan([step.x[2], step.to_x[2], step.to_y[2], step.cos[2]]).all()
    assert np.isfinite(np.delete(step.to_x, 2)).all()


def test_dictionaries_of_different_width_model_or_place_are_refused_by_name():
    one = planted_dictionary(title="narrow", d_in=8)
    with pytest.raises(DoesNotFitError, match=r"narrow has decoder directions of width 8, wide .* of width 10"):
        joint_directions([one, planted_dictionary(title="wide", d_in=10)], "decoder")
    other = planted_dictionary(title="stranger", metadata={"model_name": "gpt2"})
    with pytest.raises(DoesNotFitError, match=r"narrow belongs to planted, stranger belongs to gpt2"):
        joint_directions([one, other], "decoder")
    heads = planted_dictionary(title="heads", hook_name="blocks.0.attn.hook_z")
    with pytest.raises(DoesNotFitError, match=r"writes to the residual stream, heads writes to blocks.0.attn.hook_z"):
        joint_directions([one, heads], "decoder")
    with pytest.raises(DoesNotFitError, match=r"reads the residual stream, heads reads blocks.0.attn.hook_z"):
        joint_directions([one, heads], "encoder")


def test_layers_of_the_residual_stream_and_what_is_added_to_it_share_a_space():
    hooks = ("blocks.0.hook_resid_pre", "blocks.1.hook_mlp_out", "blocks.1.hook_attn_out")
    stack = joint_directions([planted_dictionary(hook_name=hook) for hook in hooks], "decoder")
    assert stack.count == 3


def test_a_trail_follows_one_feature_to_the_last_dictionary(planted):
    (first, second), stack, links = planted
    found = trail(stack, links, 4)
    assert found["series_step"].tolist() == [0, 1]
    assert found["feature"].tolist() == [4, first[4]]
    assert found["next_match"].tolist() == [first[4], second[first[4]]]
    assert trail(stack, links, stack.rows(2).start).empty


def test_links_are_stored_by_order_and_side(planted, tmp_path):
    _, stack, links = planted
    key, store = LayerLinks.key(*stack.sha256, side="decoder"), ArtifactStore(tmp_path)
    store.save(links, key)
    np.testing.assert_array_equal(store.load(LayerLinks, key).match, links.match)
    assert key != LayerLinks.key(*reversed(stack.sha256), side="decoder")
    assert key != LayerLinks.key(*stack.sha256, side="encoder")


def test_progress_goes_on_over_all_steps(planted):
    watched = Watched()

    layer_links(planted[1], progress=watched)
    seen = [done / total for done, total in watched.told]
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_what_becomes_of_features_is_marked_from_their_dictionary_on(planted):
    permutations, stack, links = planted
    features = np.isin(np.arange(9), [2, 5])
    marked = what_becomes_of(stack, links, 0, features)
    expected = [2, 5], permutations[0][[2, 5]], permutations[1][permutations[0][[2, 5]]]
    for number, those in enumerate(expected):
        assert np.flatnonzero(marked[stack.rows(number)]).tolist() == sorted(those)
    later = what_becomes_of(stack, links, 1, features)
    assert not later[stack.rows(0)].any()
    assert np.flatnonzero(later[stack.rows(2)]).tolist() == sorted(permutations[1][[2, 5]])
    nowhere = LayerLinks(np.full(27, -1, np.int32), links.cos)
    assert what_becomes_of(stack, nowhere, 0, features).sum() == 2
