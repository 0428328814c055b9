"""What a feature is related to, from the store: correlations, neurons, coefficients, cosines."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.feature import correlated_features, correlated_neurons
from core.feature.correlated_features import CorrelatedFeatures
from core.feature.correlated_neurons import CorrelatedNeurons, NeuronCost
from core.geometry import basis, tables
from core.geometry.basis import BasisAlignment
from core.geometry.one_direction import cosines_with, nearest_table
from core.maths.random_directions import RandomDirections
from core.work.calls import call, silent_call
from ui.shared.errors import NotStored
from ui.studies import compute, geometry, token_pass
from ui.studies.feature import Subject
from ui.studies.token_pass import TokenPass


def itself(subject: Subject) -> int | None:
    """Return the feature's number if its own dictionary is searched."""
    return None if subject.own else subject.feature


def nearest(subject: Subject, *, top: int) -> pd.DataFrame:
    """Return the features with the nearest decoder rows, and the cosine of random directions at each rank.

    Columns: neighbor_rank, neighbor, neighbor_cosine, mutual_rank (if the neighbours of all features are stored) and
    random_rth_cosine (with two features or more).
    """
    cosines = cosines_with(subject.direction(), subject.among, "decoder")
    table = nearest_table(cosines, top=top, itself=itself(subject))
    if not subject.own:
        try:
            with compute.only_stored():
                known = tables.neighbors_of(geometry.neighbors(subject.among.id), subject.feature)
            back = known.set_index("neighbor")["mutual_rank"]
            table["mutual_rank"] = pd.array(table["neighbor"].map(back), dtype="Int64")
        except (NotStored, LoupeError):
            pass  # the geometry page computes them; a dictionary with one feature has none
    others = int(np.isfinite(cosines).sum()) - (itself(subject) is not None)
    if others >= 1 and subject.among.config.d_out > 1:
        table = tables.with_random_ranks(table, RandomDirections(others + 1, subject.among.config.d_out))
    return table


def pass_among(subject: Subject) -> TokenPass:
    """Return the pass of the searched dictionary over the feature's text (raises StillRunning)."""
    if not subject.own:
        return subject.passed
    return token_pass.pass_over(subject.among, subject.passed.model, subject.passed.sample)


def correlated(subject: Subject) -> CorrelatedFeatures:
    """Return the feature's correlations with all features of the searched dictionary."""
    among, acts = pass_among(subject), subject.acts
    of = acts, among.store, among.statistics
    work = call(correlated_features.correlated_features, *of, itself=itself(subject))
    key = f"correlated with {subject.feature} of {subject.passed.name} among {among.name}"
    return compute.transient(key, f"Features correlated with {subject.title}", work)


def cosines(subject: Subject) -> Float[np.ndarray, " d_sae"]:
    """Return the decoder cosine with every feature, NaN for itself."""
    cosines = cosines_with(subject.direction(), subject.among, "decoder")
    if itself(subject) is not None:
        cosines[subject.feature] = np.nan
    return cosines


def neuron_hooks(subject: Subject) -> list[str]:
    """Return the hooks whose units can be correlated with a feature: neurons by layer, and its own hook."""
    model, own = subject.passed.model, subject.among.config.hook_name
    hooks = [name for name in model.hook_names() if name.endswith("mlp.hook_post")]
    return hooks if own in hooks else [*hooks, own]


def usual_hook(subject: Subject) -> str:
    """Return the hook of the last neurons that write to a feature's hook, or of the neurons of its layer."""
    config = subject.among.config
    layer = basis.writing_layer(config.hook_name)
    wanted = f"blocks.{(config.layer or 0) if layer is None else layer}.mlp.hook_post"
    hooks = neuron_hooks(subject)
    return wanted if wanted in hooks else hooks[0]


def neuron_key(subject: Subject, hook_name: str) -> str:
    passed = subject.passed
    names = passed.hashes
    return CorrelatedNeurons.key(*names, hook_name, left_out=passed.sample.left_out)


def neurons_known(subject: Subject, hook_name: str) -> bool:
    """Say whether the correlations with a hook's units are stored."""
    key = neuron_key(subject, hook_name)
    return compute.at_hand(key)


def neuron_cost(subject: Subject, hook_name: str) -> NeuronCost:
    """Return what the correlations with a hook's units will cost."""
    passed = subject.passed
    of = passed.store, passed.model, hook_name, passed.dictionary.d_sae
    work = silent_call(correlated_neurons.estimate_cost, *of)
    return compute.transient(f"cost of {neuron_key(subject, hook_name)}", "Running a few tokens", work)


def correlated_units(subject: Subject, hook_name: str) -> CorrelatedNeurons:
    """Return the units that correlate with each feature of the subject's dictionary."""
    passed = subject.passed
    of = passed.store, passed.statistics, passed.model, hook_name
    work = call(correlated_neurons.correlated_neurons, *of)
    label = f"Features of {passed.dictionary.title} against {hook_name}"
    return compute.result(CorrelatedNeurons, neuron_key(subject, hook_name), label, work)


def neuron_basis(subject: Subject, layer: int | None) -> Float[np.ndarray, "unit d_out"] | None:
    """Return the rows that a layer's neurons write; None (the hook's own coordinates) for no layer."""
    if layer is None:
        return None
    model = subject.model
    return compute.loaded().get(
        f"W_out {model.sha256} {layer}", lambda: basis.neuron_basis(model, layer), name=f"Neurons of layer {layer}"
    )


def alignment(dictionary: Dictionary, subject: Subject, layer: int | None) -> BasisAlignment:
    """Return how all features of a dictionary are spread over a basis."""
    rows = neuron_basis(subject, layer)
    name = "hook" if layer is None else basis.neuron_basis_key(subject.model.sha256, layer)
    work = call(basis.basis_alignment, dictionary, basis=rows)
    label = f"Coefficients of {dictionary.title}"
    return compute.result(BasisAlignment, BasisAlignment.key(dictionary.sha256, name), label, work)
