"""Results are found under names that hold every input that changes the answer."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest

import core
from core.activations.sparse import SparseActivations
from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore
from core.corpus.datasets import DatasetName
from core.devices.device import CPU, TORCH_CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.feature_map.layout import LayoutSettings
from core.logit_weights.unembedding import LogitSettings, Unembedding
from core.models.language_model import LanguageModel
from core.neuronpedia.labels import NeuronpediaSource
from core.positions.statistics import PositionSettings
from core.token_sets.sets import TokenSets
from tests.doubles.planted import planted_dictionary, planted_model

COST_ONLY = {"block", "tile", "batch", "memory", "budget_bytes", "block_rows", "workers", "base", "where"}
"""Parameters that change what a result costs, where it is fetched or how an error names it. Other tests hold functions
to that."""
FOLLOWS_FROM = {"center": "settings", "n_pos": "settings", "context_size": "dictionary_sha256", "title": "text_sha256"}
FOLLOWS_FROM |= {"d_sae": "dictionary_sha256"}
"""What of a key holds a parameter that has another name."""
PASS = {"rows_sha256", "left_out"}
READS = {
    Dictionary: {"dictionary_sha256", "weights_sha256", "dictionary", "a", "a_sha256"},
    LanguageModel: {"model_sha256", "model", "tokenizer_sha256", "a"},
    Unembedding: {"model_sha256"},
    TokenSets: {"sets_sha256"},
}
"""For inputs that are objects: a key has one of these."""
OF_A_PASS = (ActivationStore, ActivationStatistics, SparseActivations)


NAMES = [found.name for found in pkgutil.walk_packages(core.__path__, "core.")]
MODULES = [importlib.import_module(name) for name in NAMES if not name.endswith("__main__")]


def own(kind: Callable[[Any], bool]) -> list[Any]:
    """Return what the modules of core define themselves, by kind."""
    named = [(module.__name__, one) for module in MODULES for one in vars(module).values() if kind(one)]
    return [one for name, one in named if one.__module__ == name]


STORED = own(lambda one: inspect.isclass(one) and "key" in vars(one) and hasattr(one, "version"))
by_name = pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.__name__)


def some(kind: Any, folder) -> list[Any]:
    """Return different values of a type; of settings, one for each field that is not as usual."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return [None, *(value for part in get_args(kind) if part is not type(None) for value in some(part, folder))]
    if get_origin(kind) is tuple or any(name in str(kind) for name in ("Sequence", "Iterable")):
        number = get_args(kind)[0]
        return [(number(1),), (number(1), number(2)), (number(3),)]
    if "ndarray" in str(kind):
        return [np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), np.arange(1, 7).reshape(2, 3)]
    if kind is Dictionary:
        return [planted_dictionary(seed=seed) for seed in (0, 1)]
    if kind is LanguageModel:
        return [planted_model(folder / str(seed), seed=seed) for seed in (0, 1)]
    if kind is DatasetName:
        return [
            DatasetName.parse(text) for text in ("me/a", "me/b", "me/a:c", "me/a::test", "me/a:::text", "me/a@0123")
        ]
    if kind is NeuronpediaSource:
        return [NeuronpediaSource("m", "s"), NeuronpediaSource("n", "s"), NeuronpediaSource("m", "t")]
    if is_dataclass(kind) and kind is not Device:
        return settings_of(kind)
    return {str: ["x", "y"], int: [1, 2], float: [0.5, 0.25], bool: [False, True], Device: [CPU, TORCH_CPU]}[kind]


def settings_of(kind: type) -> list[Any]:
    """Return the usual settings, and for each field others that differ in it alone."""
    usual = kind()
    others = {"center": "none", "method": "tsne", "side": "encoder", "perplexity": 20.0, "min_dist": 0.5, "n_pos": 7}
    found = [usual]
    for field in fields(kind):
        value = getattr(usual, field.name)
        if field.name in COST_ONLY:
            continue
        other = not value if type(value) is bool else value if value is None else value + type(value)(1)
        like = kind(method="tsne") if field.name == "perplexity" else usual
        found.append(replace(like, **{field.name: others.get(field.name, other)}))
    return found


@by_name
def test_each_input_of_a_key_changes_it(stored, tmp_path):
    parameters = inspect.signature(stored.key).parameters
    values = {name: some(parameter.annotation, tmp_path) for name, parameter in parameters.items()}
    packed = next((name for name, one in parameters.items() if one.kind is inspect.Parameter.VAR_POSITIONAL), None)

    def key(**given: Any) -> str:
        rest = given.pop(packed, None)
        positional = {name for name, one in parameters.items() if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
        first = [given.pop(name) for name in parameters if name in positional]
        return stored.key(*first, *([rest] if packed else []), **given)

    usual = {name: these[0] for name, these in values.items()}
    found = [key(**usual)]
    for name, these in values.items():
        found += [key(**(usual | {name: other})) for other in these[1:]]
    assert len(set(found)) == len(found)


@by_name
def test_another_version_has_another_key(stored, tmp_path, monkeypatch):
    parameters = inspect.signature(stored.key).parameters
    usual = {name: some(parameter.annotation, tmp_path)[0] for name, parameter in parameters.items()}
    packed = [usual.pop(name) for name, one in parameters.items() if one.kind is inspect.Parameter.VAR_POSITIONAL]
    before = stored.key(*packed, **usual)
    monkeypatch.setattr(stored, "version", stored.version + 1)
    assert stored.key(*packed, **usual) != before


def plain(kind: Any) -> bool:
    """Whether a parameter of this type is a number, a word, a choice or settings, and no data."""
    if get_origin(kind) in (Union, UnionType):
        return all(plain(part) for part in get_args(kind) if part is not type(None))
    if get_origin(kind) in (Literal, tuple):
        return True
    return kind in (int, float, bool, str, LogitSettings, LayoutSettings, PositionSettings)


def makers(stored: type) -> list[Callable]:
    """Return the functions of core for all to use that return such a result."""
    functions = own(inspect.isfunction)
    return [
        one for one in functions if one.__annotations__.get("return") is stored and not one.__name__.startswith("_")
    ]


@by_name
def test_a_key_holds_all_that_its_result_is_made_from(stored):
    held = set(inspect.signature(stored.key).parameters)
    for make in makers(stored):
        for name, parameter in inspect.signature(make).parameters.items():
            kind, where = parameter.annotation, f"{make.__name__}({name})"
            if plain(kind) and name not in COST_ONLY:
                assert {name, FOLLOWS_FROM.get(name)} & held, where
            if kind in READS:
                assert READS[kind] & held, where
            if kind in OF_A_PASS:
                assert held >= PASS, where
