"""A dictionary (one SAE): its weights under one set of names, and what it was trained on.

`encode`, `decode` and `reconstruct` run sae-lens' own code on the arrays held here, so that no architecture is written
twice. The exact analyses use the weights and `affine_gate`, and need no torch.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.config import ADDITIVE, UNFOLDED_NORMALISATIONS, DictionaryConfig
from core.dictionaries.cross_layer import Blocks
from core.dictionaries.origin import UNKNOWN, Origin
from core.dictionaries.prefix import only_features, separable
from core.dictionaries.sae_lens import build_sae, run, run_decoder, run_halves, run_with_pre_acts
from core.dictionaries.weights import can_fold, check_tensors, fold_norms
from core.errors import DoesNotFitError


@dataclass(frozen=True)
class AffineGate:
    """A feature as a gate on z = (x - b_in) @ W_enc: f = (scale * z + offset) if z > cutoff else 0.

    `b_in` is `Dictionary.input_bias`: `b_dec` if it is subtracted from the input, else zero. Standard,
    JumpReLU and gated dictionaries have this form, with one product x @ W_enc for gate and magnitude.
    """

    scale: Float[np.ndarray, " d_sae"]
    offset: Float[np.ndarray, " d_sae"]
    cutoff: Float[np.ndarray, " d_sae"]


class Dictionary:
    """One SAE in memory. Weights are float32, read-only, and never changed after construction."""

    def __init__(
        self,
        *,
        id: str,
        title: str,
        config: DictionaryConfig,
        raw_config: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray],
        fold_decoder_norms: bool = True,
        origin: Origin = UNKNOWN,
        side_norms: Float[np.ndarray, "side d_sae"] | None = None,
    ):
        self.id = id
        self.title = title
        self.config = config
        self.origin = origin
        self.side_norms = side_norms
        """Of a crosscoder: the length of each feature's decoder row on every side, as stored."""
        self.lock = threading.RLock()
        """Locked during every forward pass, because normalising dictionaries keep state on the module."""
        self._raw_config = dict(raw_config)
        check_tensors(config, tensors)
        self.folded = fold_decoder_norms and can_fold(config)
        self._tensors = fold_norms(tensors) if self.folded else dict(tensors)
        for array in self._tensors.values():
            array.flags.writeable = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about this dictionary, one sentence or more each; every page shows them."""
        return self.origin.notes

    @property
    def halves_said(self) -> str | None:
        """What the two halves of a temporal dictionary are, in words for every page; None for any other."""
        if self.config.architecture != "temporal":
            return None
        return (
            "Its output has two halves: what it predicts by attending to the tokens before, and what is novel. "
            "Features here are the novel codes; reconstruction, errors and losses are of both, and Overview shows both."
        )

    @property
    def inferred(self) -> tuple[str, ...]:
        """Facts that the files do not say: inferred, or set by hand, one phrase each."""
        return self.origin.inferred

    def __repr__(self) -> str:
        """Say what it is and how its files were read, one line for each fact."""
        config = self.config
        k = f", k {config.k}" if config.k else ""
        lines = [
            f"Dictionary {self.title}: {config.kind}, d_in {self.d_in}, d_sae {self.d_sae}{k}",
            f"reads {config.hook_name or 'an unknown hook'} of {config.model_name or 'an unknown model'}",
            *([f"read as {self.origin.format}"] if self.origin.format else []),
            *(f"stated: {phrase}" for phrase in self.origin.stated),
            *(f"inferred: {phrase}" for phrase in self.inferred),
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n  ".join(lines)

    @cached_property
    def sha256(self) -> str:
        """Content hash of weights and of everything that changes what they compute."""
        return self._content_sha256(self._tensors)

    @cached_property
    def folded_sha256(self) -> str:
        """Content hash with decoder norms folded if possible. It does not depend on how the dictionary was opened."""
        if self.folded or not can_fold(self.config):
            return self.sha256
        return self._content_sha256(fold_norms(self._tensors))

    def _content_sha256(self, tensors: Mapping[str, np.ndarray]) -> str:
        digest = hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode())
        for name in sorted(tensors):
            array = tensors[name]
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _identity(self) -> dict[str, Any]:
        # A field that was added later counts only if it is set, so that other dictionaries keep their hash.
        said = {"hook_head_index": None, "reconstructs": True, "target_layer": None, "side": None}
        said |= {"read_hooks": (), "read_models": (), "blocks": 1, "sides": 1}
        config = {
            k: v
            for k, v in vars(self.config).items()
            if k not in ("training_architecture", "matryoshka_widths") and not (k in said and v == said[k])
        }
        # Matching pursuit and temporal dictionaries have settings that our config does not name.
        raw = {k: v for k, v in self._raw_config.items() if k not in ("metadata", "device", "dtype")}
        return {"config": config, "raw": raw}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The config's own words about the dictionary's origin, unchecked: any may be missing or odd."""
        metadata = self._raw_config.get("metadata")
        return metadata if isinstance(metadata, Mapping) else {}

    @property
    def d_in(self) -> int:
        return self.config.d_in

    @property
    def d_sae(self) -> int:
        return self.config.d_sae

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._tensors.values())

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """All weights under sae-lens' names, as they are held."""
        return MappingProxyType(self._tensors)

    @property
    def W_enc(self) -> Float[np.ndarray, "d_in d_sae"]:
        """Encoder columns; where the architecture ties them (matching pursuit), W_dec transposed."""
        return self._tensors["W_enc"] if "W_enc" in self._tensors else self._tensors["W_dec"].T

    @property
    def W_dec(self) -> Float[np.ndarray, "d_sae d_out"]:
        """Row i is the vector that feature i writes."""
        return self._tensors["W_dec"]

    @property
    def b_dec(self) -> Float[np.ndarray, " d_out"]:
        return self._tensors["b_dec"]

    @property
    def b_enc(self) -> Float[np.ndarray, " d_sae"]:
        """Encoder bias (for a gated dictionary, that of the magnitude path); zero if it has none."""
        for name in ("b_enc", "b_mag"):
            if name in self._tensors:
                return self._tensors[name]
        return np.zeros(self.d_sae, np.float32)

    @property
    def threshold(self) -> Float[np.ndarray, " d_sae"]:
        """The pre-activation that each feature must exceed, zero where the architecture has none."""
        return self._tensors.get("threshold", np.zeros(self.d_sae, np.float32))

    @property
    def W_skip(self) -> Float[np.ndarray, "d_out d_in"] | None:
        return self._tensors.get("W_skip")

    @property
    def input_bias(self) -> Float[np.ndarray, " d_in"]:
        """What is subtracted from the input before W_enc: b_dec or zero."""
        return self.b_dec if self.config.apply_b_dec_to_input else np.zeros(self.d_in, np.float32)

    @property
    def not_additive_because(self) -> str | None:
        """Why f(x_a + x_b) is not a gate on z_a + z_b, in words for the page; None if it is one."""
        if self.config.architecture == "temporal":
            return "its features depend on the tokens before"
        places = max(len(self.config.read_hooks), self.config.sides)
        if places > 1:
            return f"it reads {places} places at once"
        if self.config.architecture not in ADDITIVE:
            return f"{self.config.kind} features compete with each other for each token"
        if self.config.normalize_activations not in UNFOLDED_NORMALISATIONS | {"none"}:
            return f"the dictionary normalises each input ({self.config.normalize_activations})"
        return None

    def affine_gate(self) -> AffineGate:
        """Return the features as gates on x @ W_enc (see AffineGate).

        Raises DoesNotFitError for dictionaries that have no such form.
        """
        reason = self.not_additive_because
        if reason:
            raise DoesNotFitError(
                f"{self.title} has no additive form: {reason}. Expected a standard, JumpReLU or gated dictionary "
                "without input normalisation; use the plain grid."
            )
        one = np.ones(self.d_sae, np.float32)
        if self.config.architecture == "gated":
            scale = np.exp(self._tensors["r_mag"])
            b_gate, b_mag = self._tensors["b_gate"], self._tensors["b_mag"]
            # Both the gate and the ReLU of the magnitude must be open.
            return AffineGate(scale, b_mag, np.maximum(-b_gate, -b_mag / scale))
        return AffineGate(one, self.b_enc, np.maximum(self.threshold, 0) - self.b_enc)

    @property
    def _blocks(self) -> Blocks:
        weights = self.W_enc, self.b_enc, self.threshold, self.W_dec, self.b_dec, self.W_skip
        return Blocks(self.config.blocks, *weights)

    @cached_property
    def sae(self):
        """The sae-lens object on these very arrays (imports torch and sae-lens on first use)."""
        return build_sae(self._raw_config, self._tensors)

    def part(self, features: Int[np.ndarray, " chosen"], *, title: str) -> "Dictionary":
        """Return some of the features as a dictionary of their own, in this order, with their present weights.

        Raises DoesNotFitError for no features, and where features are computed from each other or read many places.
        """
        if not separable(self.config) or self.config.sides > 1 or self.config.read_hooks:
            raise DoesNotFitError(
                f"{self.title} is a {self.config.kind} dictionary, of which some features make no dictionary. Expected "
                "one whose features do not depend on each other; choose another."
            )
        if not len(features):
            raise DoesNotFitError(
                f"None of the features of {self.title} is chosen, and a dictionary has at least one. Choose some."
            )
        raw, tensors = only_features(self._raw_config, self._tensors, self.config, features)
        n, k = len(features), self.config.k
        return Dictionary(
            id=self.id,
            title=title,
            config=replace(self.config, d_sae=n, k=min(k, n) if k else k, matryoshka_widths=()),
            raw_config=raw,
            tensors=tensors,
            fold_decoder_norms=self.folded,
        )

    def save(self, folder: Path) -> None:
        """Write config and weights, as they are held here, to a new folder in sae-lens' format."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True)
        (folder / "cfg.json").write_text(json.dumps(self._raw_config), encoding="utf-8")
        tensors = {name: np.ascontiguousarray(array) for name, array in self._tensors.items()}
        save_file(tensors, folder / "sae_weights.safetensors")

    def encode(self, x: Float[np.ndarray, "*batch d_in"]) -> Float[np.ndarray, "*batch d_sae"]:
        """Return `acts` of inputs at the hook (hook_z inputs flattened), by sae-lens.

        Of a temporal dictionary these are the novel codes; its inputs must be (batch, pos, d_in).
        Raises DoesNotFitError for inputs of another shape.
        """
        self._check_input(x)
        if self.config.blocks > 1:
            return self._blocks.encode(x)[0]
        return run(self.sae, self.lock, x, lambda sae, t: sae.encode(t))

    def encode_with_pre_acts(
        self, x: Float[np.ndarray, "*batch d_in"]
    ) -> tuple[Float[np.ndarray, "*batch d_sae"], Float[np.ndarray, "*batch d_sae"]]:
        """Return `acts` and `pre_acts` of one pass; `pre_acts` is NaN where the architecture has none.

        Pre-activations are what sae-lens hands to the activation function (of a gated dictionary, the
        magnitude path's). Leading axes are free: temporal dictionaries need (batch, pos, d_in).
        """
        self._check_input(x)
        if self.config.blocks > 1:
            return self._blocks.encode(x)
        acts, pre_acts = run_with_pre_acts(self.sae, self.lock, x)
        if pre_acts is None:
            return acts, np.full_like(acts, np.nan)
        if self.config.rescale_acts_by_decoder_norm:  # sae-lens does this after its hook
            pre_acts = pre_acts * np.linalg.norm(self.W_dec, axis=1)
        return acts, pre_acts

    def reconstruct(self, x: Float[np.ndarray, "*batch d_in"]) -> Float[np.ndarray, "*batch d_out"]:
        """Return `x_hat`, by sae-lens' forward pass (which adds what decode alone may lack)."""
        self._check_input(x)
        if self.config.blocks > 1:
            return self._blocks.reconstruct(x)
        return run(self.sae, self.lock, x, lambda sae, t: sae(t))

    def decode(
        self, acts: Float[np.ndarray, "*batch d_sae"], x: Float[np.ndarray, "*batch width"]
    ) -> Float[np.ndarray, "*batch d_out"]:
        """Return what features write, with the bias, by sae-lens' decoder; `x` is the input that `acts` belong to.

        `x` only counts where the dictionary normalises each input. A skip connection and a temporal dictionary's
        predicted half, which `reconstruct` adds, are not in it.
        """
        if self.config.blocks > 1:
            return self._blocks.decode(acts)
        return run_decoder(self.sae, self.lock, acts, x)

    def halves(self, x: Float[np.ndarray, "batch pos d_in"]) -> tuple[np.ndarray, ...]:
        """Return a temporal dictionary's predicted and novel half of x_hat, the bias, and both halves' codes.

        The first two have the shape of x and sum up to x_hat with the bias; codes are (batch, pos, d_sae). Raises
        DoesNotFitError where the output is scaled by each input, so that it is no such sum.
        """
        self._check_input(x)
        if self.config.normalize_activations not in UNFOLDED_NORMALISATIONS | {"none", "constant_scalar_rescale"}:
            raise DoesNotFitError(
                f"{self.title} normalises each input ({self.config.normalize_activations}), so its output is no sum of "
                "two halves. Expected none or constant_scalar_rescale; choose another."
            )
        return run_halves(self.sae, self.lock, x)

    def _check_input(self, x: np.ndarray) -> None:
        # Flattened rows would look like one long text, and a row would follow another row's tokens.
        whole_rows = self.config.architecture == "temporal"
        width = self.config.input_width
        if x.shape[-1] != width or (whole_rows and x.ndim != 3):
            expected = f"(batch, pos, {width})" if whole_rows else f"(tokens, {width})"
            step = "Pass whole rows of text." if whole_rows else "Choose a dictionary of this model and hook."
            if self.config.hook_head_index is not None:
                step = f"It reads head {self.config.hook_head_index} alone (hook_head_index); text is not run for it."
            raise DoesNotFitError(f"{self.title} cannot read vectors of shape {x.shape}; expected {expected}. {step}")
