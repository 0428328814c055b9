"""Decoding: what reconstruct gives, wherever it adds nothing of its own."""

import numpy as np
import pytest

from tests.doubles.activation_rows import planted

X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32) + 1


@pytest.mark.parametrize("normalised", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "jumprelu", "matching_pursuit"])
def test_decoding_what_was_encoded_is_reconstructing(architecture, normalised):
    how = {"fold_decoder_norms": False, "rescale_acts_by_decoder_norm": architecture == "topk"}
    dictionary = planted(architecture, normalize_activations=normalised, **how)
    acts = dictionary.encode(X)
    np.testing.assert_array_equal(dictionary.decode(acts, X), dictionary.reconstruct(X))
    # A part of the tokens has the scale of its own input, whatever was encoded last.
    np.testing.assert_allclose(dictionary.decode(acts[1, 2:4], X[1, 2:4]), dictionary.reconstruct(X[1, 2:4]), atol=1e-5)


def test_a_skip_connection_is_no_part_of_what_features_write():
    rng = np.random.default_rng(1)
    dictionary = planted("skip_transcoder", tensors={"W_skip": rng.normal(size=(8, 8))})
    skipped = dictionary.reconstruct(X) - dictionary.decode(dictionary.encode(X), X)
    np.testing.assert_allclose(skipped, X @ dictionary.W_skip.T, atol=1e-4)
