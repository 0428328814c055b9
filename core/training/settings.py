"""What a training run is told: one frozen object, read from TOML and kept beside the result."""

import json
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from core.corpus.samples import DATASET, FILES, LIBRARY
from core.errors import BadSettingError, UnknownNameError
from core.files.fields import short
from core.training.types import TYPES, Options, Standard

MOST_BYTES = 2**20
"""No file of settings is larger."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class TextSettings:
    """The text whose activations are learned from."""

    source: str = LIBRARY
    """library (Python's standard library), files (a path), or dataset (one of the hub that was downloaded)."""
    name: str = ""
    """The path, or the dataset's name; empty for the library."""
    context: int = 128
    """Tokens in a row."""
    bos: bool = False
    """Whether every row begins with the BOS token."""
    special: bool = True
    """Whether activations at special tokens (BOS, separators) are learned from."""
    repeats: int = 1
    """How often the text may be read, each time in another order."""
    seed: int = 0
    """Decides the order of the rows. All dictionaries of a run read the same rows."""
    megabytes: int = 4
    """Amount of a dataset that was downloaded."""


@dataclass(frozen=True)
class TrainingSettings:
    """A training run: dictionaries of one type at one hook of one model, one for each seed."""

    name: str
    """Name of the run and of its folder."""
    model: str
    """The model's name or folder."""
    hook_name: str
    """The place in the model that the dictionaries read, such as blocks.2.hook_resid_pre."""
    d_sae: int
    """Number of features."""
    type: str = "standard"
    """One of core.training.types.TYPES."""
    options: Options = field(default_factory=Standard)
    """What is set of this type."""
    seeds: tuple[int, ...] = (0,)
    """One dictionary for each. A seed decides the first weights, and the order of the tokens within a buffer."""
    training_tokens: int = 2_000_000
    """Activations that each dictionary sees."""
    batch_tokens: int = 1024
    """Activations in one step."""
    lr: float = 2e-3
    """Learning rate of Adam."""
    lr_warm_up: float = 0.05
    """Share of the steps over which the learning rate rises to lr."""
    lr_decay: float = 1 / 3
    """Share of the steps, at the end, over which it falls to 0."""
    dead_after: int = 100
    """A feature that was silent for more steps is dead, and the auxiliary loss of the TopK types takes it up."""
    autocast: bool = False
    """Whether products are computed in bfloat16. Weights and optimizer stay float32."""
    buffer_tokens: int = 2**17
    """Activations in memory, from which batches are drawn in random order."""
    checkpoint_steps: int = 1000
    """Steps between checkpoints."""
    wandb_project: str = ""
    """Project of Weights & Biases that the curves are sent to; empty: nothing is sent."""
    text: TextSettings = field(default_factory=TextSettings)

    def __post_init__(self):
        _check_words(self)
        _check_numbers(self)
        self.options.arguments(self.d_sae)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.training_tokens // self.batch_tokens

    @property
    def log_steps(self) -> int:
        """Steps between two points of a curve, which has about 500."""
        return max(1, self.steps // 500)


def _check_words(settings: TrainingSettings) -> None:
    if not _NAME.fullmatch(settings.name):
        raise BadSettingError(
            f"name is {short(settings.name)}; expected up to 80 letters, digits, dots, dashes and underscores, "
            "as it names a folder. Choose another name."
        )
    if settings.type not in TYPES:
        raise UnknownNameError("type of dictionary", settings.type, list(TYPES))
    assert type(settings.options) is TYPES[settings.type], "the options are those of another type"
    for name, most in (("model", 1024), ("hook_name", 200)):
        if not 0 < len(getattr(settings, name)) <= most:
            raise BadSettingError(f"{name} is {short(getattr(settings, name))}; expected 1 to {most} characters.")
    if settings.text.source not in (LIBRARY, FILES, DATASET):
        raise UnknownNameError("source of text", settings.text.source, (LIBRARY, FILES, DATASET))
    if settings.text.source != LIBRARY and not settings.text.name:
        raise BadSettingError(f"text.name is empty; expected the name of the text in {settings.text.source}. Add it.")


def _check_numbers(settings: TrainingSettings) -> None:
    limits = {"d_sae": 2**24, "training_tokens": 2**40, "batch_tokens": 2**20, "dead_after": 2**31}
    limits |= {"buffer_tokens": 2**26, "checkpoint_steps": 2**31}
    for name, most in limits.items():
        _check_range(name, getattr(settings, name), 1, most)
    for name, most in {"context": 2**20, "repeats": 10_000, "megabytes": 2**16}.items():
        _check_range(f"text.{name}", getattr(settings.text, name), 1, most)
    _check_range("text.seed", settings.text.seed, 0, 2**31)
    for seed in settings.seeds:
        _check_range("a seed", seed, 0, 2**31)
    if not 0 < len(settings.seeds) <= 64 or len(set(settings.seeds)) != len(settings.seeds):
        raise BadSettingError(f"seeds are {list(settings.seeds)[:10]}; expected 1 to 64 different whole numbers.")
    if settings.steps < 1 or settings.buffer_tokens < settings.batch_tokens:
        raise BadSettingError(
            f"batch_tokens is {settings.batch_tokens:,}; expected at most training_tokens "
            f"({settings.training_tokens:,}) and buffer_tokens ({settings.buffer_tokens:,}). Choose a smaller batch."
        )
    if not 0 < settings.lr < 10:
        raise BadSettingError(f"lr is {settings.lr}; expected a number above 0 and below 10, such as 0.002.")
    shares = settings.lr_warm_up, settings.lr_decay
    if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1:
        raise BadSettingError(
            f"lr_warm_up and lr_decay are {shares[0]} and {shares[1]}; expected shares of the steps that do not "
            "exceed 1 together."
        )


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadSettingError(f"{name} is {short(value)}; expected a whole number from {low} to {high:,}.")


def read_settings(path: Path) -> TrainingSettings:
    """Read settings from a TOML file. Raises BadSettingError, and UnknownNameError for a key that is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadSettingError(f"{path} is larger than {MOST_BYTES:,} bytes; expected a few settings in TOML.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettingError(f"{path} cannot be read ({error}). Expected settings in TOML; check the path.") from error
    return from_toml(text, str(path))


def from_toml(text: str, where: str = "The settings") -> TrainingSettings:
    """Return the settings that a TOML text holds. Raises what `read_settings` raises."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise BadSettingError(f"{where} is no TOML ({str(error)[:200]}). Correct that line.") from error
    return from_table(table)


def from_table(table: Mapping[str, Any]) -> TrainingSettings:
    """Return settings from nested tables of plain values. A table `options` is read by the type."""
    kind = table.get("type", "standard")
    if kind not in list(TYPES):
        raise UnknownNameError("type of dictionary", str(kind), list(TYPES))
    tables = {"text": (TextSettings, "text."), "options": (TYPES[kind], "options.")}
    inner = {}
    for name, (cls, where) in tables.items():
        value = table.get(name, {})
        if not isinstance(value, dict):
            raise BadSettingError(f"{name} is {short(value)}; expected a table [{name}]. Correct it.")
        inner[name] = cls(**_values(cls, value, where))
    outer = {name: value for name, value in table.items() if name not in tables}
    known = tuple(one.name for one in fields(TrainingSettings))
    values = _values(TrainingSettings, outer, "", known)
    missing = [name for name in ("name", "model", "hook_name", "d_sae") if name not in values]
    if missing:
        raise BadSettingError(f"{' and '.join(missing)} is not set. Expected it among the settings; add it.")
    return TrainingSettings(**values, **inner)


def _values(cls: type, table: Mapping[str, Any], where: str, known: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a table's values in the types of a dataclass."""
    types_of = get_type_hints(cls)
    known = known or tuple(one.name for one in fields(cls))
    for name in table:
        if name not in known:
            raise UnknownNameError("setting", f"{where}{name}", [f"{where}{one}" for one in known])
    return {name: _value(f"{where}{name}", value, types_of[name]) for name, value in table.items()}


def _value(name: str, value: Any, kind: Any) -> Any:
    if isinstance(kind, types.GenericAlias):  # tuple[int, ...]
        inner = get_args(kind)[0]
        if not isinstance(value, list | tuple):
            raise BadSettingError(f"{name} is {short(value)}; expected a list such as [0, 1]. Correct it.")
        return tuple(_value(name, one, inner) for one in value)
    if kind is float and type(value) is int and abs(value) < 2**53:
        value = float(value)
    if type(value) is not kind:
        raise BadSettingError(f"{name} is {short(value)}; expected {_KINDS[kind]}. Correct it.")
    return value


def to_toml(settings: TrainingSettings) -> str:
    """Write settings as TOML that `from_toml` reads back."""
    table = asdict(settings)
    inner = {name: table.pop(name) for name in ("options", "text")}
    lines = [_line(name, value) for name, value in table.items()]
    for title, values in inner.items():
        lines += ["", f"[{title}]", *(_line(name, value) for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    # JSON's strings, numbers, booleans and lists of these are TOML's as well; only DEL is not.
    return f"{name} = {json.dumps(value).replace(chr(127), chr(92) + 'u007f')}"
