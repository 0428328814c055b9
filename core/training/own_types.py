"""The types that this project adds to sae-lens. Importing it registers them; it imports torch: import lazily."""

from dataclasses import dataclass
from typing import Any

import torch
from sae_lens.registry import SAE_TRAINING_CLASS_REGISTRY, register_sae_training_class
from sae_lens.saes.sae import SAEConfig, TrainStepInput
from sae_lens.saes.standard_sae import StandardSAEConfig, StandardTrainingSAE, StandardTrainingSAEConfig

from core.training.penalties import orthogonality_terms


@dataclass
class OrthogonalConfig(StandardTrainingSAEConfig):
    """Fields of core.training.types.Orthogonal."""

    mean_weight: float = 1.0
    nearest_weight: float = 1.0
    largest_weight: float = 1.0

    @classmethod
    def architecture(cls) -> str:
        return "orthogonal"

    def get_inference_config_class(self) -> type[SAEConfig]:
        return StandardSAEConfig


class OrthogonalSAE(StandardTrainingSAE):
    """Standard, with the penalty of core.training.penalties in the loss."""

    cfg: OrthogonalConfig

    def calculate_aux_loss(
        self,
        step_input: TrainStepInput,
        feature_acts: torch.Tensor,
        hidden_pre: torch.Tensor,
        sae_out: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        losses = super().calculate_aux_loss(step_input, feature_acts, hidden_pre, sae_out)
        with torch.autocast(self.W_dec.device.type, enabled=False):  # bfloat16 cannot tell which row is nearest
            terms = orthogonality_terms(self.W_dec)
        return losses | {f"{name}_cosine": getattr(self.cfg, f"{name}_weight") * term for name, term in terms.items()}


@dataclass
class RescaledConfig(StandardTrainingSAEConfig):
    """Fields of core.training.types.Rescaled."""

    @classmethod
    def architecture(cls) -> str:
        return "rescaled"

    def get_inference_config_class(self) -> type[SAEConfig]:
        return StandardSAEConfig


class RescaledSAE(StandardTrainingSAE):
    """x_hat = Dec(r * Enc(x)), where r = exp(r_mag) is learned for each feature.

    What makes Enc sparse never reaches W_dec, which gets the gradient of |x - x_hat|² alone. The L1 penalty weighs a
    feature by the length of its frozen decoder row, so that a longer row does not make it cheaper.
    """

    cfg: RescaledConfig
    r_mag: torch.nn.Parameter

    def initialize_weights(self) -> None:
        super().initialize_weights()
        self.r_mag = torch.nn.Parameter(torch.zeros(self.cfg.d_sae, dtype=self.dtype, device=self.device))

    def encode_with_hidden_pre(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        acts, hidden_pre = super().encode_with_hidden_pre(x)
        return acts * self.r_mag.exp(), hidden_pre

    def calculate_aux_loss(
        self,
        step_input: TrainStepInput,
        feature_acts: torch.Tensor,
        hidden_pre: torch.Tensor,
        sae_out: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        acts, W_dec = self.activation_fn(hidden_pre), self.W_dec.detach()
        sparse = acts @ W_dec + self.b_dec.detach()
        l1 = (acts * W_dec.norm(dim=1)).sum(-1).mean()
        return {
            "frozen_reconstruction_loss": (sparse - step_input.sae_in).pow(2).sum(-1).mean(),
            "l1_loss": step_input.coefficients["l1"] * l1,
        }

    @torch.no_grad()
    def process_state_dict_for_saving_inference(self, state_dict: dict[str, Any]) -> None:
        """Multiply r into the encoder: r is positive, so that r relu(h) = relu(r h)."""
        super().process_state_dict_for_saving_inference(state_dict)
        r = state_dict.pop("r_mag").exp()
        state_dict["W_enc"] = (state_dict["W_enc"] * r).contiguous()
        state_dict["b_enc"] = state_dict["b_enc"] * r


for _config, _sae in ((OrthogonalConfig, OrthogonalSAE), (RescaledConfig, RescaledSAE)):
    if _config.architecture() not in SAE_TRAINING_CLASS_REGISTRY:
        register_sae_training_class(_config.architecture(), _sae, _config)
