"""Where the demo's parts lie and how it is trained; one place for every number."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEMO = Path(__file__).resolve().parent
MODEL_DIR = DEMO / "model"
DICTIONARIES_DIR = DEMO / "dictionaries"
WORK = DEMO.parent / "cache" / "demo-training"
SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True)
class ModelSettings:
    """The language model: GPT-2's shape in small, with learned absolute positions."""

    n_layers: int = 4
    d_model: int = 128
    n_heads: int = 4
    n_ctx: int = 256
    d_vocab: int = 4096
    batch: int = 16
    """Rows of n_ctx tokens in one step."""
    training_tokens: int = 30_720_000
    cosine_tokens: int = 36_000_000
    """Length of the cosine that the learning rate follows until the cool-down."""
    cool_down_from: int = 21_504_000
    """From this token on the learning rate falls in a straight line to zero, and the loss levels off."""
    stdlib_copies: int = 3
    """The standard library is what the app reads, so it is seen more often than the packages."""
    lr: float = 2.5e-3
    warm_up_steps: int = 300
    weight_decay: float = 0.1
    seed: int = 0

    @property
    def steps(self) -> int:
        return self.training_tokens // (self.batch * self.n_ctx)


@dataclass(frozen=True)
class DictionarySettings:
    """One dictionary: where it reads, how it is made, how it is trained."""

    layer: int | str
    """The block whose input it reads, or 'post3' for the output of block 3."""
    type: str
    """sae-lens' training architecture."""
    width: int
    options: Mapping[str, float]
    """What is set of this type (core.training.types)."""
    seed: int = 0
    data: str = "all"
    """'all' (sources of the standard library and of packages) or 'prose' (their docstrings)."""
    training_tokens: int = 2_500_000
    batch: int = 1024
    lr: float = 3e-3
    dead_after: int = 40
    """Steps without an activation after which the TopK family's auxiliary loss takes a feature up."""

    @property
    def name(self) -> str:
        where = self.layer if isinstance(self.layer, str) else f"layer{self.layer}"
        extras = [f"seed{self.seed}"] * (self.seed != 0) + [self.data] * (self.data != "all")
        return "-".join([where, self.type, str(self.width), *extras])

    @property
    def title(self) -> str:
        where = "After layer 3" if self.layer == "post3" else f"Layer {self.layer}"
        extras = [f"seed {self.seed}"] * (self.seed != 0) + [self.data] * (self.data != "all")
        return " · ".join([where, TYPE_TITLES[self.type], f"{self.width:,}", *extras])

    @property
    def hook_name(self) -> str:
        return "blocks.3.hook_resid_post" if self.layer == "post3" else f"blocks.{self.layer}.hook_resid_pre"

    @property
    def labels(self) -> dict[str, str | int]:
        """What the app groups and compares dictionaries by."""
        return {"type": self.type, "width": self.width, "layer": self.layer, "seed": self.seed, "data": self.data}


TYPE_TITLES = {
    "standard": "standard",
    "topk": "TopK",
    "batchtopk": "BatchTopK",
    "jumprelu": "JumpReLU",
    "gated": "gated",
}


@dataclass(frozen=True)
class TextSettings:
    """The rows that activations are computed on."""

    context: int = 128
    """Half of the model's: behaviour beyond the dictionaries' training positions can be looked at."""
    stdlib_share: float = 0.5
    seed: int = 1


def standard(layer: int | str, width: int = 2048, **more) -> DictionarySettings:
    """Settings of a ReLU dictionary with an L1 penalty, the same for all layers and widths."""
    return DictionarySettings(layer, "standard", width, {"l1_coefficient": 1.5, "warm_up_steps": 200}, **more)


LAYERS = tuple(standard(layer) for layer in (0, 1, 2, 3, "post3"))
WIDTHS = tuple(standard(2, width) for width in (512, 1024, 4096))
SEEDS = tuple(standard(2, seed=seed) for seed in (1, 2, 3))
DATA = (standard(2, data="prose"),)
TYPES = (
    DictionarySettings(2, "topk", 2048, {"k": 32, "aux_loss_coefficient": 0.1}, lr=2e-3),
    DictionarySettings(2, "batchtopk", 2048, {"k": 32.0, "aux_loss_coefficient": 0.1}, lr=2e-3),
    DictionarySettings(
        2,
        "jumprelu",
        2048,
        {
            "l0_coefficient": 0.25,
            "warm_up_steps": 200,
            "bandwidth": 0.1,
            "init_threshold": 0.1,
        },
    ),
    DictionarySettings(2, "gated", 2048, {"l1_coefficient": 1.5, "warm_up_steps": 200}),
)
LAYER_0 = (
    DictionarySettings(0, "batchtopk", 2048, {"k": 20.0, "aux_loss_coefficient": 0.1}, lr=2e-3),
    standard(0, 4096),
)
DICTIONARIES = LAYERS + WIDTHS + SEEDS + DATA + TYPES + LAYER_0
"""All of them, in the order in which the app lists them."""
