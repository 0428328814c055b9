"""First-order effects of a whole dictionary, against dense sums made with torch on logits of all tokens at once."""

from dataclasses import replace

import numpy as np
import pytest

from core.activations.store import ActivationBlock, ActivationStore
from core.activations.token_pass import activation_pass, open_store
from core.devices.device import CPU, TORCH_CPU
from core.errors import CorpusError, DoesNotFitError
from core.interventions import first_order
from core.interventions.atlas import QUADRANTS, SILENT_FEATURE, CausalAtlas, causal_atlas, mean_coordinate
from core.interventions.first_order import directions, entry_effects
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT
from tests.doubles import planted_card
from tests.doubles.planted import planted_dictionary, planted_model

ROWS = np.random.default_rng(5).integers(0, 257, (6, 9))
HOOKS = {"transcoder": "blocks.0.hook_mlp_out"}
KINDS = {
    "standard": {"hook_name": "blocks.1.hook_resid_pre"},
    "transcoder": {"hook_name": "blocks.0.hook_resid_mid"},
    "jumprelu": {"hook_name": "blocks.1.hook_resid_post"},
    "topk": {"hook_name": "blocks.1.hook_resid_pre", "rescale_acts_by_decoder_norm": True, "fold_decoder_norms": False},
}


def stored(dictionary, model, tmp_path, rows=ROWS, **how):
    artifacts = ArtifactStore(tmp_path / "cache")
    activation_pass(dictionary, model, rows, artifacts, **how)
    return open_store(dictionary, model, rows, artifacts, **how)


def dense_effects(dictionary, model, rows, keep, *, hook):
    """(token, feature): activation times gradient along what the feature adds to the output, all in float64."""
    import torch

    leaf = []

    def put(value, hook):
        leaf.append(value.detach().requires_grad_())
        return leaf[0]

    logits = model.hooked.run_with_hooks(torch.from_numpy(rows), fwd_hooks=[(hook, put)])
    every = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), torch.from_numpy(rows)[:, 1:].flatten(), reduction="none"
    )
    every[torch.from_numpy(keep[:, :-1].ravel())].sum().backward()
    x = model.activations(rows, dictionary.config.hook_name)
    acts = dictionary.encode(x).reshape(rows.size, -1).astype(np.float64)
    one = np.eye(dictionary.d_sae, dtype=np.float32)
    x_of_one = np.repeat(x.reshape(rows.size, -1)[:1], dictionary.d_sae, axis=0)
    written = dictionary.decode(one, x_of_one) - dictionary.decode(0 * one, x_of_one)
    gradient = leaf[0].grad.flatten(0, 1).double().numpy()
    effects = acts * (gradient @ written.T.astype(np.float64))
    return np.where(keep.ravel()[:, None], effects, 0), np.where(keep.ravel()[:, None], acts, 0), gradient


@pytest.mark.parametrize("kind", KINDS)
def test_the_atlas_is_the_sum_of_dense_effects(kind, tmp_path, device):
    dictionary, model = planted_dictionary(kind, d_sae=20, **KINDS[kind]), planted_model(tmp_path)
    left_out = (int(ROWS[2, 3]),)
    keep = ~np.isin(ROWS, left_out)
    atlas = causal_atlas(dictionary, model, stored(dictionary, model, tmp_path, left_out=left_out), device=device)
    hook = HOOKS.get(kind, dictionary.config.hook_name)
    effects, acts, gradient = dense_effects(dictionary, model, ROWS, keep, hook=hook)
    assert (effects != 0).sum() > 40
    np.testing.assert_allclose(atlas.effect, effects.sum(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(atlas.size, np.abs(effects).sum(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(atlas.count, (acts != 0).sum(axis=0))
    assert atlas.n_tokens == keep.sum()
    lengths = np.linalg.norm(directions(dictionary).astype(float), axis=1)
    by_length = (np.abs(acts) * np.linalg.norm(gradient, axis=1)[:, None]).sum(axis=0)
    np.testing.assert_allclose(atlas.chance, by_length * lengths * mean_coordinate(8), rtol=1e-4, atol=1e-6)


def test_chance_is_what_random_directions_reach_on_average():
    rng, d = np.random.default_rng(0), 5
    vectors = rng.standard_normal((200_000, d))
    sizes = np.abs(vectors[:, 0]) / np.linalg.norm(vectors, axis=1)
    assert mean_coordinate(d) == pytest.approx(sizes.mean(), rel=5e-3)
    assert mean_coordinate(768) == pytest.approx((2 / (np.pi * 768)) ** 0.5, rel=1e-3)


class Stored(ActivationStore):
    """The same activations in other blocks, or in another order of rows."""

    def __init__(self, whole: ActivationBlock, order: list[list[int]]):
        self.whole, self.order, self.left_out = whole, order, ()
        self.rows = whole.rows[[row for part in order for row in part]]

    def blocks(self, progress=SILENT):
        n, whole = self.whole.n_pos, self.whole
        counts = np.diff(whole.ends, prepend=0)
        for part in self.order:
            tokens = (np.array(part)[:, None] * n + np.arange(n)).ravel()
            entries = [np.arange(whole.ends[t] - counts[t], whole.ends[t]) for t in tokens]
            entries = np.concatenate(entries)
            ends = counts[tokens].cumsum()
            yield replace(
                whole, rows=whole.rows[part], ends=ends, features=whole.features[entries], acts=whole.acts[entries]
            )


def test_blocks_and_the_order_of_rows_change_no_bit(tmp_path, monkeypatch):
    # A row at a time: rows together round differently.
    dictionary = planted_dictionary(d_sae=20, hook_name="blocks.1.hook_resid_pre")
    model = planted_model(tmp_path)
    monkeypatch.setattr(
        first_order, "TOKENS_PER_RUN", ROWS.shape[1]
    )  # a row at a time: rows together round differently
    (block,) = stored(dictionary, model, tmp_path).blocks()
    whole = causal_atlas(dictionary, model, Stored(block, [list(range(6))]))
    for order in ([[0], [1, 2], [3, 4, 5]], [[5, 3], [0, 4], [1, 2]]):
        other = causal_atlas(dictionary, model, Stored(block, order))
        for name in ("count", "effect", "size", "chance"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
        assert other.ce == whole.ce


def test_a_dictionary_that_normalises_its_input_writes_more_at_some_tokens(tmp_path):
    dictionary = planted_dictionary(
        d_sae=20, hook_name="blocks.1.hook_resid_pre", normalize_activations="constant_norm_rescale"
    )
    model = planted_model(tmp_path)
    atlas = causal_atlas(dictionary, model, stored(dictionary, model, tmp_path))
    keep = np.ones(ROWS.shape, bool)
    effects, _, _ = dense_effects(dictionary, model, ROWS, keep, hook=dictionary.config.hook_name)
    x = model.activations(ROWS, dictionary.config.hook_name).reshape(ROWS.size, -1)
    length = np.linalg.norm(x.astype(float), axis=1)
    expected = (effects * (length / length[0])[:, None]).sum(axis=0)
    np.testing.assert_allclose(atlas.effect, expected, rtol=1e-3, atol=1e-5)


def test_a_feature_that_writes_nothing_has_no_direction_and_no_length_to_divide_by():
    W_dec = np.eye(12, 8, dtype=np.float32) * 3
    rows = directions(planted_dictionary("topk", tensors={"W_dec": W_dec}, **KINDS["topk"]))
    np.testing.assert_array_equal(rows, np.eye(12, 8))


def test_effects_of_entries_are_products_in_float64():
    rng = np.random.default_rng(1)
    gradient, rows = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 13), (5, 13)))
    ends, features = np.array([2, 2, 5]), np.array([0, 4, 1, 2, 3], np.int32)
    acts = rng.standard_normal(5).astype(np.float32)
    found = entry_effects(ends, features, acts, gradient, rows)
    for j, token in enumerate([0, 0, 2, 2, 2]):
        expected = float(acts[j]) * (gradient[token].astype(float) @ rows[features[j]].astype(float))
        assert found[j] == pytest.approx(expected, rel=1e-13)
    with pytest.raises(DoesNotFitError, match="1 of 5 first-order effects are not finite"):
        entry_effects(ends, features, np.array([1, np.inf, 1, 1, 1], np.float32), gradient, rows)


def test_quadrants_part_features_by_medians_and_the_table_leaves_silent_ones_empty():
    atlas = CausalAtlas(
        count=np.array([0, 1, 2, 8, 9]),
        effect=np.array([0.0, -1.0, 0.2, 0.8, -90.0]),
        size=np.array([0.0, 1.0, 0.2, 0.8, 90.0]),
        chance=np.array([0.0, 0.5, 0.4, 0.8, 9.0]),
        n_tokens=10,
        ce=2.0,
    )
    often, rarely = QUADRANTS[:2], QUADRANTS[2:]
    assert atlas.quadrant.tolist() == [SILENT_FEATURE, rarely[0], rarely[1], often[1], often[0]]
    table = atlas.table()
    assert table["atlas_per_firing"].isna().tolist() == [True, False, False, False, False]
    np.testing.assert_allclose(table["atlas_per_firing"][1:], [1, 0.1, 0.1, 10])
    np.testing.assert_allclose(table["atlas_effect"], [0, -0.1, 0.02, 0.08, -9])
    np.testing.assert_allclose(table["atlas_over_chance"][1:], [2, 0.5, 1, 10])
    silent = CausalAtlas(np.zeros(3, int), *np.zeros((3, 3)), n_tokens=1, ce=0.0)
    assert set(silent.quadrant) == {SILENT_FEATURE}


def test_what_cannot_be_attributed_is_refused(tmp_path):
    dictionary, model = planted_dictionary(hook_name="blocks.1.hook_resid_pre"), planted_model(tmp_path)
    with pytest.raises(CorpusError, match=r"Rows of shape \(6, 1\)"):
        causal_atlas(dictionary, model, stored(dictionary, model, tmp_path, ROWS[:, :1]))
    left_out = tuple(set(range(257)) - {int(ROWS[0, -1])} - {0})
    rows = np.zeros((2, 3), np.int64)
    rows[:, :2] = left_out[:2]
    with pytest.raises(CorpusError, match="no counted token with a next token"):
        causal_atlas(dictionary, model, stored(dictionary, model, tmp_path, rows, left_out=left_out))


def test_the_key_names_all_that_changes_the_answer():
    keys = {
        CausalAtlas.key(*names, left_out=left_out)
        for names in (("a", "b", "c"), ("b", "b", "c"), ("a", "c", "c"), ("a", "b", "d"))
        for left_out in ((), (1,))
    }
    assert len(keys) == 8
    assert CausalAtlas.key("a", "b", "c", left_out=(2, 1)) == CausalAtlas.key("a", "b", "c", left_out=(1, 2))


def test_progress_counts_tokens(tmp_path):
    dictionary, model = planted_dictionary(hook_name="blocks.1.hook_resid_pre"), planted_model(tmp_path)
    seen = []

    class Seen(type(SILENT)):
        def update(self, done, total):
            seen.append((done, total))

    causal_atlas(dictionary, model, stored(dictionary, model, tmp_path), Seen())
    assert seen[-1] == (ROWS.size, ROWS.size)


def test_an_atlas_of_a_device_has_a_name_of_its_own():
    keys = {CausalAtlas.key("d", "m", "r", device=device) for device in (CPU, TORCH_CPU, planted_card.CARD)}
    assert len(keys | {CausalAtlas.key("d", "m", "r")}) == 3


def test_memory_that_runs_out_on_the_way_back_halves_the_rows(tmp_path, monkeypatch):
    import torch

    dictionary, model = planted_dictionary(d_sae=20, hook_name="blocks.1.hook_resid_pre"), planted_model(tmp_path)
    store, tried, back = stored(dictionary, model, tmp_path), [], torch.autograd.grad
    expected = causal_atlas(dictionary, model, store)

    def little_memory(outputs, inputs, *args, **how):
        if inputs.ndim == 3:
            tried.append(len(inputs))
            if len(inputs) > 2:
                raise torch.OutOfMemoryError("planted")
        return back(outputs, inputs, *args, **how)

    monkeypatch.setattr(torch.autograd, "grad", little_memory)
    found = causal_atlas(dictionary, model, store, device=TORCH_CPU)
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(found.size, expected.size, rtol=1e-4, atol=1e-6)
