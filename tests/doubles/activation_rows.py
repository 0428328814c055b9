"""Rows of token ids, dictionaries of all kinds and dense activations, for tests of the token pass."""

import dataclasses

import numpy as np

from tests.doubles.planted import planted_dictionary

ROWS = np.random.default_rng(1).integers(0, 257, (11, 7))


NEEDS = {
    "matching_pursuit": {"max_iterations": 3, "residual_threshold": 0.01, "k": 3},
    "topk_transcoder": {"k": 3},
    "temporal": {"n_heads": 2, "bottleneck_factor": 2, "kval_topk": 3},
}


def planted(architecture: str, **options):
    needs = NEEDS.get(architecture)
    if architecture == "temporal":
        options = {"tensors": temporal_tensors(needs)} | options
    return planted_dictionary(architecture, extra=needs, **options)


def temporal_tensors(needs: dict) -> dict[str, np.ndarray]:
    """Draw the weights of a small dictionary whose features depend on the tokens before."""
    import torch
    from sae_lens.saes.temporal_sae import TemporalSAE, TemporalSAEConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = TemporalSAE(TemporalSAEConfig(d_in=8, d_sae=12, **needs)).state_dict()
    return {name: value.numpy() for name, value in state.items()}


def dense(dictionary, model, rows=ROWS) -> np.ndarray:
    return dictionary.encode(model.activations(rows, dictionary.config.hook_name))


def assert_same(a, b) -> None:
    for field in dataclasses.fields(a):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)
