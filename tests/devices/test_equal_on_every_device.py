"""What must be equal to the bit on every device: ids, neighbours, ranks, and counts of exact products."""

import numpy as np

from core.devices.device import CPU


def test_neighbours_of_every_device_are_equal_to_the_bit(device):
    from core.geometry.neighbors import nearest_between, nearest_features

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((900, 48), dtype=np.float32)
    rows += 2 * rng.standard_normal((40, 48), dtype=np.float32)[rng.integers(0, 40, 900)]
    rows[5], rows[6:9], rows[700:900] = 0, rows[10], rows[11] + 1e-4 * rows[700:900]
    expected, found = nearest_features(rows, k=50), nearest_features(rows, k=50, device=device)
    assert expected.idx.tobytes() == found.idx.tobytes()
    assert expected.cos.tobytes() == found.cos.tobytes()
    expected, found = (nearest_between(rows, rows[::-3].copy(), k=20, device=where) for where in (CPU, device))
    for name in ("a_in_b_idx", "b_in_a_idx", "a_in_b_cos", "b_in_a_cos"):
        assert getattr(expected, name).tobytes() == getattr(found, name).tobytes(), name


def test_ranks_of_equal_logit_weights_are_equal_to_the_bit_on_every_device(device):
    from tests.doubles.token_set_scores import random_sets, scores_of, tied_values

    rng = np.random.default_rng(2)
    values, sets = tied_values(rng), random_sets(rng)
    values[1], values[2, 3] = 1, np.nan
    expected, found = scores_of(values, sets), scores_of(values, sets, device=device)
    for name in ("es_high", "es_low", "auc", "log10_p", "log10_q"):
        assert getattr(expected, name).tobytes() == getattr(found, name).tobytes(), name


def test_counts_of_exact_products_are_equal_on_every_device(device, tmp_path):
    """Weights are small whole numbers, so that float32 products are exact and ties abound."""
    from core.positions.additive import additive_statistics
    from tests.doubles.planted import planted_dictionary, planted_model

    rng = np.random.default_rng(3)
    whole = {"embed.W_E": rng.integers(-3, 4, (300, 8)), "pos_embed.W_pos": rng.integers(-2, 3, (12, 8))}
    model = planted_model(tmp_path, d_vocab=300, n_ctx=12, tensors={k: v.astype(float) for k, v in whole.items()})
    weights = {"W_enc": rng.integers(-2, 3, (8, 30)), "b_enc": rng.integers(-6, 2, 30), "b_dec": np.zeros(8)}
    weights["W_dec"] = np.eye(8)[np.arange(30) % 8]  # of length 1: folding norms leaves all as it is
    dictionary = planted_dictionary(d_sae=30, tensors={k: v.astype(float) for k, v in weights.items()})
    how = {"n_pos": 12, "context_size": 9}
    expected, found = (additive_statistics(dictionary, model, device=where, **how) for where in (CPU, device))
    for name in ("rate", "mean", "token_best", "only_beyond"):
        assert getattr(expected, name).tobytes() == getattr(found, name).tobytes(), name
