"""What weight pages must know of a model in Hugging Face's layout: sizes, kinds, and what its files call its parts.

The answer comes from the architecture itself (core.models.find_parts), which takes torch and its friends. It is kept
under the content of config.json and the names in the files, so that the next process imports none of them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any, ClassVar

from core.work.artifacts import artifact_key

LONGEST = 8192
"""Contexts are cut to this length: no dictionary was trained on more, and pages scale with it."""


@dataclass(frozen=True)
class ModelParts:
    """One architecture with one config, and the names in one set of files."""

    d_model: int
    d_vocab: int
    n_ctx: int
    n_layers: int
    n_heads: int | None
    """None for a model without attention."""
    d_head: int | None
    """Width of what one head hands to W_O."""
    d_mlp: int | None
    """None where a block has no MLP, or one of several experts."""
    n_params: int
    """All numbers of the model, tied ones once."""
    act_fn: str | None
    norm: str | None
    """'LN' or 'RMS', of the final norm; None where nothing norms what the unembedding reads."""
    one_more: bool
    """The final norm multiplies by 1 + weight."""
    eps: float
    positions: str
    """'standard' (learned, added to the embedding), 'rotary', 'alibi', or 'no' for none of these."""
    parallel: bool
    """Attention and MLP both read the stream before the block: there is none between them."""
    norms_writing: bool
    """A norm stands between what attention and MLP give and the stream."""
    residual_scale: float
    """What attention and MLP give is multiplied by, on its way to the stream."""
    pos_offset: int
    """Rows of the position embedding before that of position 0 (OPT has two)."""
    embed_eps: float
    """Of the LayerNorm that follows the embedding (Bloom has one)."""
    embed_scale: float
    """What the embedding is multiplied by on its way to the stream."""
    logit_scale: float
    logit_cap: float | None
    """Logits are cap * tanh(logit / cap), after the scale."""
    ours: tuple[str, ...]
    """Names of parts in TransformerLens' words, with those of projections and of the embedding's norm added."""
    theirs: tuple[str, ...]
    """What the files call them."""
    turned: tuple[bool, ...]
    """Whether the files keep it as (out, in), and we as (in, out)."""
    notes: tuple[str, ...] = ()
    """What the config says against itself or its files, and what was believed."""
    version: ClassVar[int] = 2

    @classmethod
    def key(cls, config_json: str, stored: Iterable[str]) -> str:
        names = hashlib.sha256("\n".join(sorted(stored)).encode()).hexdigest()
        libraries = " ".join(installed(name) for name in ("transformers", "transformer-lens"))
        config = hashlib.sha256(config_json.encode()).hexdigest()
        return artifact_key("model-parts", cls.version, config=config, stored=names, libraries=libraries)

    @property
    def stored(self) -> Mapping[str, str]:
        """What the files call each part that they have."""
        return dict(zip(self.ours, self.theirs, strict=True))

    @property
    def stored_turned(self) -> Mapping[str, bool]:
        return dict(zip(self.ours, self.turned, strict=True))

    def config(self, name: str) -> dict[str, Any]:
        """Return the sizes and kinds as TransformerLens' config names them; what the model has not is left out."""
        found = {"d_model": self.d_model, "n_ctx": min(self.n_ctx, LONGEST), "n_layers": self.n_layers}
        found |= {"n_heads": self.n_heads, "d_head": self.d_head, "d_mlp": self.d_mlp, "d_vocab": self.d_vocab}
        found |= {"act_fn": self.act_fn, "parallel_attn_mlp": self.parallel or None}
        found |= {"use_normalization_before_and_after": self.norms_writing or None}
        found |= {"output_logits_soft_cap": self.logit_cap}
        found |= {"logit_scale": None if self.logit_scale == 1 else self.logit_scale}
        found |= {"residual_scale": None if self.residual_scale == 1 else self.residual_scale}
        found = {field: value for field, value in found.items() if value is not None}
        # A missing kind would mean the usual one.
        found |= {"normalization_type": self.norm, "positional_embedding_type": self.positions}
        return found | {"n_params": self.n_params, "model_name": name}
