"""Configs that contradict themselves: a number of layers, and lists that name the kinds of more or fewer layers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MOST_LAYERS = 1000
"""Far above any model's; a config from anywhere could otherwise ask for billions of modules."""
_NUMBERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
_KINDS = ("attention_types", "attention_layers", "layer_types", "mlp_layer_types")
"""Lists whose i-th entry is the kind of layer i; GPT-Neo writes the first as [[kinds, how often], ...]."""


def settle(stored: Mapping[str, Any], names: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a config that contradicts itself no more, and sentences on what was believed; others stay as they are.

    `names`: those of the tensors in the files, whose blocks decide. Without any block there, the number of layers is
    believed. Kinds are then those of the first layers. Raises ValueError where the files bear out neither, and where
    the kinds of some layers are not said.
    """
    counts = _counts(names)
    settled, notes = _settled(stored, counts)
    if isinstance(stored.get("text_config"), Mapping):
        settled["text_config"], more = _settled(stored["text_config"], counts)
        notes += more
    return settled, tuple(notes)


def _settled(config: Mapping[str, Any], counts: set[int]) -> tuple[dict[str, Any], list[str]]:
    numbers = {name: config[name] for name in _NUMBERS if type(config.get(name)) is int}
    kinds = {name: each for name in _KINDS if (each := _each(name, config.get(name)))}
    lengths = {name: len(each) for name, each in kinds.items()}
    if len(numbers) != 1 or set(lengths.values()) <= set(numbers.values()):
        return dict(config), []
    (said, number), *_ = numbers.items()
    n = _believed(number, {number, *lengths.values()}, counts)
    short = [name for name, length in lengths.items() if n is None or length < n]
    listed = " and ".join(f"{name} the kinds of {length}" for name, length in lengths.items() if length != number)
    told = f"config.json contradicts itself: {said} is {number}, and it names in {listed}"
    if short:
        blocks = f"rows of {' and '.join(map(str, sorted(counts)))} blocks" if counts else "no blocks"
        raise ValueError(f"{told}; the files hold {blocks}, so that the kinds of all layers are not known")
    why = "the blocks in the files" if counts else f"{said}; the files hold no blocks that would show it"
    note = f"{told}. The number of layers is taken to be {n} ({why}), and their kinds are those named first."
    return dict(config) | {said: n} | {name: _first(name, each, n) for name, each in kinds.items()}, [note]


def _believed(number: int, candidates: set[int], counts: set[int]) -> int | None:
    """Return the number of layers that the files bear out; None where they bear out none of those said, or several."""
    if not counts:
        return number
    borne_out = candidates & counts
    return borne_out.pop() if len(borne_out) == 1 else None


def _each(name: str, value: object) -> list[Any] | None:
    """Return the kind of each layer; None for what is no such list."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    if name != "attention_types":
        return list(value)
    kinds: list[Any] = []
    for item in value:
        if not (isinstance(item, Sequence) and len(item) == 2 and isinstance(item[0], list) and type(item[1]) is int):
            return None
        if len(item[0]) * item[1] > MOST_LAYERS:
            raise ValueError(f"{name} names the kinds of {len(item[0]) * item[1]} layers, of at most {MOST_LAYERS}")
        kinds += item[0] * item[1]
    return kinds


def _first(name: str, each: list[Any], n: int) -> list[Any]:
    return [[each[:n], 1]] if name == "attention_types" else each[:n]


def _counts(names: Iterable[str]) -> set[int]:
    """Return how many blocks each row of blocks in the files has, by its highest number."""
    rows: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        at = next((i for i, part in enumerate(parts) if part.isascii() and part.isdecimal() and len(part) < 5), None)
        if at is not None:
            row = ".".join(parts[:at])
            rows[row] = max(rows.get(row, 0), int(parts[at]) + 1)
    return set(rows.values())
