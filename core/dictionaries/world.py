"""A world whose features are known: sae-lens' synthetic data, with a hierarchy and a correlated pair.

No language model and no text is behind it. Inputs are sums of known directions, so that of every dictionary made for it
the truth is known: core.dictionaries.world_rows plants such dictionaries.
"""

import threading
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from core.work.torch_library import import_model_library

D_IN, N_FAMILIES, N_CHILDREN, N_ALONE = 32, 8, 3, 16
"""Each family is a parent with children; the other features stand alone."""
N_FEATURES = N_FAMILIES * (1 + N_CHILDREN) + N_ALONE
RATES = {"parent": 0.1, "child": 0.5, "alone": 0.05}
"""How often a feature is drawn: a child only where its parent fires, and one child of a family at a time."""
SIZES = 1.0, 0.1
"""Mean and standard deviation of an activation."""
TOGETHER = 0.6
"""Correlation behind the last two features that stand alone."""
SEED = 0
_drawing = threading.Lock()


@dataclass(frozen=True, eq=False)
class World:
    """The true features: first the parents, then the children of each parent in turn, then those that stand alone."""

    directions: Float[np.ndarray, "feature d_in"]
    """Of length 1, and nearly orthogonal: there are more features than dimensions."""
    parent: Int[np.ndarray, " feature"]
    """-1 without one."""

    def children(self, parent: int) -> Int[np.ndarray, " child"]:
        """Return the children of a feature, ascending."""
        return np.flatnonzero(self.parent == parent)

    @property
    def alone(self) -> Int[np.ndarray, " alone"]:
        """The features that are neither parents nor children."""
        return np.arange(N_FEATURES - N_ALONE, N_FEATURES)

    def kinds(self) -> list[str]:
        """Return of every feature what it is: parent, child or alone."""
        return ["parent"] * N_FAMILIES + ["child"] * (N_FAMILIES * N_CHILDREN) + ["alone"] * N_ALONE


@cache
def world() -> World:
    """Make the world: directions drawn and pushed apart by sae-lens."""
    import_model_library()
    from sae_lens.synthetic import FeatureDictionary

    rows = FeatureDictionary(N_FEATURES, D_IN, seed=SEED).feature_vectors.detach().numpy().copy()
    rows.flags.writeable = False
    of_children = np.repeat(np.arange(N_FAMILIES), N_CHILDREN)
    parent = np.concatenate([np.full(N_FAMILIES, -1), of_children, np.full(N_ALONE, -1)])
    return World(rows, parent)


def draw(n: int, *, seed: int = SEED) -> tuple[Float[np.ndarray, "n d_in"], Float[np.ndarray, "n feature"]]:
    """Draw n inputs, and the true activations that they are sums of."""
    import_model_library()
    import torch

    # sae-lens draws from torch's own generator, of which a process has one.
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        acts = _generator().sample(n).numpy()
    return (acts.astype(np.float64) @ world().directions).astype(np.float32), acts


@cache
def _generator():
    import_model_library()
    import torch
    from sae_lens.synthetic import (
        ActivationGenerator,
        HierarchyNode,
        create_correlation_matrix_from_correlations,
        hierarchy_modifier,
    )

    made = world()
    families = [
        HierarchyNode(parent, [HierarchyNode(int(child)) for child in made.children(parent)], True)
        for parent in range(N_FAMILIES)
    ]
    mean, std = SIZES
    pair = {(N_FEATURES - 2, N_FEATURES - 1): TOGETHER}
    return ActivationGenerator(
        N_FEATURES,
        torch.tensor([RATES[kind] for kind in made.kinds()], dtype=torch.float32),
        std_firing_magnitudes=std,
        mean_firing_magnitudes=mean,
        modify_activations=hierarchy_modifier(families),
        correlation_matrix=create_correlation_matrix_from_correlations(N_FEATURES, pair),
    )
