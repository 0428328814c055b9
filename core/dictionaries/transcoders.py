"""Transcoders that sae-lens lacks (its own transcoder, with its TopK in place of the ReLU), and their biases."""

import threading
from dataclasses import make_dataclass
from functools import cache

import numpy as np

from core.dictionaries.weights import encoder_fits
from core.work.torch_library import import_model_library

_REGISTERING = threading.Lock()


def register() -> None:
    """Teach sae-lens the architectures topk_transcoder and topk_skip_transcoder (imports it), once."""
    with _REGISTERING:
        _register()


@cache
def _register() -> None:
    import_model_library()
    from sae_lens.registry import register_sae_class
    from sae_lens.saes.topk_sae import TopK
    from sae_lens.saes.transcoder import SkipTranscoder, SkipTranscoderConfig, Transcoder, TranscoderConfig

    def add(architecture: str, base: type, base_config: type) -> None:
        config = make_dataclass(
            f"TopK{base_config.__name__}",
            [("k", int, 32)],
            bases=(base_config,),
            namespace={"architecture": classmethod(lambda cls: architecture)},
        )
        register_sae_class(
            architecture,
            type(f"TopK{base.__name__}", (base,), {"get_activation_fn": lambda self: TopK(self.cfg.k)}),
            config,
        )

    add("topk_transcoder", Transcoder, TranscoderConfig)
    add("topk_skip_transcoder", SkipTranscoder, SkipTranscoderConfig)


def without_input_bias(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Move b_dec's part in (x - b_dec) @ W_enc + b_enc into b_enc, as transcoders subtract nothing from x.

    Tensors that do not go together stay as they are.
    """
    if not encoder_fits(tensors):
        return tensors
    moved = tensors["b_dec"].astype(np.float64) @ tensors["W_enc"].astype(np.float64)
    return tensors | {"b_enc": (tensors["b_enc"] - moved).astype(np.float32)}
