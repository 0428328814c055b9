"""What the experiments train; one place for every number."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.training.settings import TextSettings, TrainingSettings
from core.training.types import TYPES


@dataclass(frozen=True)
class Arm:
    """One way to train, at several values of the setting that decides L0."""

    name: str
    title: str
    type: str
    """One of core.training.types.TYPES."""
    values: tuple[float, ...]
    """Of the setting, each in a run of its own."""
    setting: str = "l1_coefficient"
    options: Mapping[str, float] = field(default_factory=dict)
    """What else is set of this type."""


@dataclass(frozen=True)
class Training:
    """One run: an arm at one value, with a dictionary for each seed."""

    arm: Arm
    value: float

    @property
    def name(self) -> str:
        return f"{self.arm.name}-{self.value:g}"


@dataclass(frozen=True)
class Plan:
    """All runs, and what they share."""

    arms: tuple[Arm, ...]
    l0: float
    """Mean number of active features at which arms are compared, between the values on both sides of it."""
    changes: tuple[tuple[str, str, str], ...] = ()
    """Runs in which features of each other are looked for, seed by seed: what changes, and two names of runs."""
    hook_name: str = "blocks.2.hook_resid_pre"
    d_sae: int = 1024
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    training_tokens: int = 1_000_000
    batch_tokens: int = 1024
    lr: float = 3e-3
    dead_after: int = 40
    context: int = 128
    buffer_tokens: int = 2**18
    held_out_tokens: int = 100_000
    """Of the text that dictionaries are measured on."""
    loss_tokens: int = 20_000
    """Of these, the tokens that the loss is measured on."""

    def trainings(self) -> Iterator[Training]:
        """Give every run, in the order in which they are trained."""
        return (Training(arm, value) for arm in self.arms for value in arm.values)

    def training(self, name: str) -> Training:
        """Return the run of a name."""
        return next(one for one in self.trainings() if one.name == name)

    def settings(self, training: Training, model: str, rows: str) -> TrainingSettings:
        """Return what core.training is told, with a model's name and a file of rows of tokens."""
        arm = training.arm
        return TrainingSettings(
            name=f"experiment-{training.name}",
            model=model,
            hook_name=self.hook_name,
            d_sae=self.d_sae,
            type=arm.type,
            options=TYPES[arm.type](**arm.options, **{arm.setting: training.value}),
            seeds=self.seeds,
            training_tokens=self.training_tokens,
            batch_tokens=self.batch_tokens,
            lr=self.lr,
            dead_after=self.dead_after,
            autocast=True,
            buffer_tokens=self.buffer_tokens,
            checkpoint_steps=200,
            text=TextSettings(source="files", name=rows, context=self.context),
        )

    def inputs(self, training: Training) -> dict[str, Any]:
        """Return everything that decides the numbers of a run, as JSON reads it back."""
        told = asdict(self.settings(training, "-", "-"))
        told.pop("text")
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}
        return told | {"held_out_tokens": self.held_out_tokens, "loss_tokens": self.loss_tokens}
