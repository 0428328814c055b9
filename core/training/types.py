"""The types of dictionaries that can be trained: what can be set of each, and what sae-lens calls it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.errors import BadSettingError


@dataclass(frozen=True)
class Options:
    """What is set of one type."""

    TITLE: ClassVar[str]
    SAVED_AS: ClassVar[str]
    """The inference architecture of sae-lens that the result is saved as."""

    def arguments(self, d_sae: int) -> Mapping[str, Any]:
        """Return the fields of sae-lens' training config. Raises BadSettingError if they do not fit d_sae."""
        raise NotImplementedError


@dataclass(frozen=True)
class Standard(Options):
    """ReLU with an L1 penalty: |x - x_hat|² + l1_coefficient * sum_i acts_i |W_dec[i]|."""

    TITLE: ClassVar[str] = "standard"
    SAVED_AS: ClassVar[str] = "standard"
    l1_coefficient: float = 1.5
    """Weight of the penalty. A larger one gives fewer active features."""
    warm_up_steps: int = 200
    """Steps over which the penalty grows from 0."""

    def arguments(self, d_sae: int) -> Mapping[str, Any]:
        _check_weights(self, "l1_coefficient")
        return {"l1_coefficient": self.l1_coefficient, "l1_warm_up_steps": self.warm_up_steps}


@dataclass(frozen=True)
class Gated(Standard):
    """A gate decides whether a feature fires, and a magnitude how much (Rajamanoharan et al. 2024)."""

    TITLE: ClassVar[str] = "gated"
    SAVED_AS: ClassVar[str] = "gated"


@dataclass(frozen=True)
class Rescaled(Standard):
    """ReLU with a learned scale r for each feature: x_hat = Dec(r * Enc(x)).

    The loss is |x - Dec_frozen(Enc(x))|² + l1_coefficient * |Enc(x)|_1 + |x - x_hat|² (J. Drori's question about gated
    SAEs). It is saved as standard, with r multiplied into the encoder.
    """

    TITLE: ClassVar[str] = "rescaled ReLU"


@dataclass(frozen=True)
class Orthogonal(Standard):
    """Standard, with a penalty on the cosines of decoder rows (Bussmann's reply to J. Drori).

    The penalty is mean_weight * mean cos + nearest_weight * mean_i max_j cos + largest_weight * max_i max_j cos, over
    pairs i != j. It is added to the loss of each token. It is saved as standard.
    """

    TITLE: ClassVar[str] = "orthogonality penalty"
    mean_weight: float = 1.0
    """Weight of the mean cosine of all pairs."""
    nearest_weight: float = 1.0
    """Weight of the mean over features of the cosine of the nearest other feature."""
    largest_weight: float = 1.0
    """Weight of the largest cosine of all pairs."""

    def arguments(self, d_sae: int) -> Mapping[str, Any]:
        names = ("mean_weight", "nearest_weight", "largest_weight")
        _check_weights(self, *names)
        if d_sae < 2:
            raise BadSettingError("d_sae is 1; expected at least 2 for cosines of pairs. Choose a larger d_sae.")
        return {**super().arguments(d_sae), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class TopK(Options):
    """The k largest pre-activations of each token (Gao et al. 2024)."""

    TITLE: ClassVar[str] = "TopK"
    SAVED_AS: ClassVar[str] = "topk"
    k: int = 32
    """Most features that are active on a token."""
    aux_loss_coefficient: float = 0.1
    """Weight of the loss by which dead features learn to reconstruct the error."""

    def arguments(self, d_sae: int) -> Mapping[str, Any]:
        _check_weights(self, "aux_loss_coefficient")
        if not 0 < self.k <= d_sae:
            raise BadSettingError(
                f"k is {self.k} with {d_sae:,} features; expected more than 0 and at most d_sae. Choose a smaller k."
            )
        return {"k": self.k, "aux_loss_coefficient": self.aux_loss_coefficient}


@dataclass(frozen=True)
class BatchTopK(TopK):
    """The k * n largest pre-activations of a batch of n tokens (Bussmann et al. 2024); saved as JumpReLU."""

    TITLE: ClassVar[str] = "BatchTopK"
    SAVED_AS: ClassVar[str] = "jumprelu"
    k: float = 32.0
    """Mean number of features that are active on a token."""


@dataclass(frozen=True)
class Matryoshka(BatchTopK):
    """BatchTopK whose first features are dictionaries of their own (Bussmann et al. 2025); saved as JumpReLU."""

    TITLE: ClassVar[str] = "Matryoshka"
    widths: tuple[int, ...] = ()
    """Rising numbers of features, of which d_sae is the last. Empty: a sixteenth, a quarter and all of d_sae."""

    def arguments(self, d_sae: int) -> Mapping[str, Any]:
        widths = self.widths or tuple(sorted({max(1, d_sae // 16), max(1, d_sae // 4), d_sae}))
        if widths[0] < 1 or list(widths) != sorted(set(widths)) or widths[-1] != d_sae:
            raise BadSettingError(
                f"widths are {list(widths)[:10]} with {d_sae:,} features; expected rising numbers from 1 that end with "
                "d_sae. Correct them, or leave them out."
            )
        return {**super().arguments(d_sae), "matryoshka_widths": list(widths)}


@dataclass(frozen=True)
class JumpReLU(Options):
    """ReLU above a learned threshold, with an L0 penalty (Rajamanoharan et al. 2024)."""

    TITLE: ClassVar[str] = "JumpReLU"
    SAVED_AS: ClassVar[str] = "jumprelu"
    l0_coefficient: float = 0.25
    """Weight of the number of active features."""
    warm_up_steps: int = 200
    """Steps over which the penalty grows from 0."""
    bandwidth: float = 0.1
    """Width of the kernel by which the threshold gets a gradient."""
    init_threshold: float = 0.1
    """The threshold at the start."""

    def arguments(self, d_sae: int) -> Mapping[str, Any]:
        _check_weights(self, "l0_coefficient", "init_threshold")
        if not 0 < self.bandwidth < 1e6:
            raise BadSettingError(f"bandwidth is {self.bandwidth}; expected more than 0, such as 0.1.")
        return {
            "l0_coefficient": self.l0_coefficient,
            "l0_warm_up_steps": self.warm_up_steps,
            "jumprelu_bandwidth": self.bandwidth,
            "jumprelu_init_threshold": self.init_threshold,
        }


TYPES: dict[str, type[Options]] = {
    "standard": Standard,
    "topk": TopK,
    "batchtopk": BatchTopK,
    "jumprelu": JumpReLU,
    "gated": Gated,
    "matryoshka_batchtopk": Matryoshka,
    "orthogonal": Orthogonal,
    "rescaled": Rescaled,
}
"""The options of each type, by sae-lens' name of its training architecture. own_types registers the last two there."""


def _check_weights(options: Options, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(options, name) < 1e9:
            raise BadSettingError(f"{name} is {getattr(options, name)}; expected a number from 0, such as 1.")
    if not 0 <= getattr(options, "warm_up_steps", 0) < 2**31:
        raise BadSettingError(f"warm_up_steps is {options.warm_up_steps}; expected a whole number from 0.")
