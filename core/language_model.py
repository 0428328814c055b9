"""A language model: its tensors straight from the file, the running model only on demand.

The weight pages need embeddings and unembedding alone; they are read without torch and without
building a model. Folder format: `config.json` (TransformerLens' names), `model.safetensors` (its
state dict without masks) and `tokenizer.json`.
"""

import hashlib
import json
import threading
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from core.errors import BadDictionaryError, DoesNotFitError, UnknownNameError
from core.tensors import file_sha256, read_tensors
from core.tokens import decode_token
from core.workspace import Workspace

RUNTIME_FIELDS = {"architecture", "device", "dtype", "seed", "init_weights", "init_mode", "initializer_range"}
RUNTIME_FIELDS |= {"n_devices", "n_params", "tokenizer_name", "tokenizer_prepends_bos", "default_prepend_bos"}
"""Config entries that do not change what the weights compute; all others go to TransformerLens."""
WHOLE_NUMBERS = ("d_model", "n_ctx", "d_vocab", "n_layers", "n_heads", "d_head", "d_mlp")
HOOK_WIDTHS = {
    **dict.fromkeys(("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out"), "stream"),
    **dict.fromkeys(("ln1.hook_normalized", "ln2.hook_normalized"), "stream"),
    **dict.fromkeys(("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z"), "heads"),
    **dict.fromkeys(("mlp.hook_pre", "mlp.hook_post"), "mlp"),
}
"""What passes at the hooks of a block, one vector for each token. Attention patterns are no such thing."""


class LanguageModel:
    """One model folder. `centred` subtracts from all writing weights their mean over d_model.

    One lock per model: hooks are state on the module, and all sessions share it. It is held for one
    forward batch, never longer.
    """

    def __init__(self, folder: Path, *, centred: bool = False):
        self.folder = folder
        self.lock = threading.RLock()
        self.config = read_model_config(folder)
        self.name: str = self.config["model_name"]
        self.d_model: int = self.config["d_model"]
        self.n_ctx: int = self.config["n_ctx"]
        self.d_vocab: int = self.config["d_vocab"]
        self.n_layers: int = self.config["n_layers"]
        # Only where a LayerNorm takes the mean off again does centring leave the model as it was.
        self.centred = centred and str(self.config.get("normalization_type")).startswith("LN")

    @cached_property
    def sha256(self) -> str:
        """Content hash of the weights file and of everything that changes what they compute."""
        config = {k: v for k, v in self.config.items() if k not in RUNTIME_FIELDS} | {"centred": self.centred}
        weights = file_sha256(self.folder / "model.safetensors")
        return hashlib.sha256(f"{weights}{json.dumps(config, sort_keys=True)}".encode()).hexdigest()

    @property
    def positions(self) -> str:
        """How the model knows position: 'absolute' (added to the embedding), or 'rotary' and others."""
        kind = self.config.get("positional_embedding_type", "standard")
        return "absolute" if kind == "standard" else kind

    @cached_property
    def _embeddings(self) -> dict[str, np.ndarray]:
        names = ["embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U", "ln_final.w", "ln_final.b"]
        tensors = read_tensors(self.folder / "model.safetensors", names)
        self._check_embeddings(tensors)
        if self.centred:
            for name in ("embed.W_E", "pos_embed.W_pos"):
                if name in tensors:
                    tensors[name] = tensors[name] - tensors[name].mean(axis=1, keepdims=True)
        for array in tensors.values():
            array.flags.writeable = False
        return tensors

    def _check_embeddings(self, tensors: dict[str, np.ndarray]) -> None:
        d, vocab = self.d_model, self.d_vocab
        shapes = {"embed.W_E": (vocab, d), "unembed.W_U": (d, vocab), "unembed.b_U": (vocab,)}
        if self.positions == "absolute":
            shapes["pos_embed.W_pos"] = (self.n_ctx, d)
        for name, shape in shapes.items():
            found = tensors[name].shape if name in tensors else "missing"
            if found != shape:
                raise BadDictionaryError(
                    f"{name} of {self.folder} is {found}, expected {shape} from its config.json. "
                    "Export model and config together."
                )

    @property
    def W_E(self) -> Float[np.ndarray, "d_vocab d_model"]:
        return self._embeddings["embed.W_E"]

    @property
    def W_pos(self) -> Float[np.ndarray, "n_ctx d_model"]:
        """Learned absolute positions. Raises DoesNotFitError where the model has none."""
        if self.positions != "absolute":
            raise DoesNotFitError(
                f"{self.name} has {self.positions} positions, expected learned absolute ones: "
                "no position vector is added to its embeddings. Use statistics from corpus text."
            )
        return self._embeddings["pos_embed.W_pos"]

    @property
    def W_U(self) -> Float[np.ndarray, "d_model d_vocab"]:
        return self._embeddings["unembed.W_U"]

    @property
    def b_U(self) -> Float[np.ndarray, " d_vocab"]:
        return self._embeddings["unembed.b_U"]

    @property
    def ln_final(self) -> tuple[Float[np.ndarray, " d_model"] | None, Float[np.ndarray, " d_model"] | None]:
        """Weight and bias of the final norm; None where it was folded away or has none."""
        return self._embeddings.get("ln_final.w"), self._embeddings.get("ln_final.b")

    @cached_property
    def tokenizer(self):
        """The `tokenizers.Tokenizer` of the folder."""
        from tokenizers import Tokenizer

        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise BadDictionaryError(f"{self.folder} has no tokenizer.json. Expected one; export it with the model.")
        return Tokenizer.from_file(str(path))

    @property
    def separator(self) -> int:
        """The token that parts documents (GPT-2's <|endoftext|>); 0 where the tokenizer names none."""
        return self.tokenizer.token_to_id("<|endoftext|>") or 0

    @cached_property
    def tokenizer_sha256(self) -> str:
        return file_sha256(self.folder / "tokenizer.json")

    @cached_property
    def token_strings(self) -> tuple[str, ...]:
        """Every token as text, by id; ids the tokenizer does not know are empty."""
        raw = (self.tokenizer.id_to_token(i) for i in range(self.d_vocab))
        return tuple(decode_token(token) if token else "" for token in raw)

    @cached_property
    def hooked(self):
        """The running TransformerLens model in float32 (imports torch on first use)."""
        from core.lens import as_tensor, quiet_imports

        quiet_imports()
        from transformer_lens import HookedTransformer, HookedTransformerConfig

        known = {k: v for k, v in self.config.items() if k not in RUNTIME_FIELDS and v is not None}
        unheard = sorted(set(known) - {field.name for field in fields(HookedTransformerConfig)})
        if unheard:
            raise BadDictionaryError(
                f"config.json in {self.folder} has {', '.join(unheard)[:200]}, which TransformerLens does not know. "
                "Expected the fields of its HookedTransformerConfig; export the config again."
            )
        model = HookedTransformer(HookedTransformerConfig(**known, device="cpu", init_weights=False))
        state = {k: as_tensor(v).clone() for k, v in read_tensors(self.folder / "model.safetensors").items()}
        missing, unexpected = model.load_state_dict(state, strict=False)
        lacking = [name for name in missing if not name.endswith((".mask", ".IGNORE", "rotary_sin", "rotary_cos"))]
        if lacking or unexpected:
            raise BadDictionaryError(
                f"The weights in {self.folder} do not fit its config: missing {lacking[:5]}, "
                f"unexpected {unexpected[:5]}. Export model and config together."
            )
        if self.centred:
            model.load_and_process_state_dict(
                model.state_dict(),
                fold_ln=False,
                center_writing_weights=True,
                center_unembed=False,
                fold_value_biases=False,
            )
        return model.eval()

    def hook_names(self) -> list[str]:
        """Return the hooks that hold one vector a token, layer by layer, without building the model."""
        points = ["hook_resid_pre", "hook_attn_out", "hook_resid_mid", "mlp.hook_pre", "mlp.hook_post"]
        points += ["hook_mlp_out", "hook_resid_post"]
        return [f"blocks.{layer}.{point}" for layer in range(self.n_layers) for point in points]

    def hook_width(self, hook_name: str) -> int:
        """Return the width of activations at a hook, or raise if the model has no such hook."""
        config, (first, _, rest) = self.config, hook_name.partition(".")
        layer, _, point = rest.partition(".")
        if first == "blocks" and layer in map(str, range(self.n_layers)) and point in HOOK_WIDTHS:
            widths = {"stream": self.d_model, "heads": config["n_heads"] * config["d_head"], "mlp": config["d_mlp"]}
            return widths[HOOK_WIDTHS[point]]
        if hook_name in ("hook_embed", "ln_final.hook_normalized"):
            return self.d_model
        if hook_name == "hook_pos_embed" and self.positions == "absolute":
            return self.d_model
        raise DoesNotFitError(
            f"{self.name} has no hook {hook_name[:100]!r} with one vector for each token. Expected a TransformerLens "
            f"name such as blocks.0.hook_resid_pre, with layers 0 to {self.n_layers - 1}. "
            "Choose a dictionary of this model."
        )

    def activations(self, tokens: Int[np.ndarray, "batch pos"], hook_name: str) -> Float[np.ndarray, "batch pos d_in"]:
        """Run the model up to a hook and return what passes there (hook_z with its heads flattened).

        At blocks.0.hook_resid_pre of an absolute-position model this is W_E + W_pos, without torch.
        Raises DoesNotFitError for rows longer than n_ctx, ids outside the vocabulary, and unknown hooks.
        """
        self.hook_width(hook_name)
        if tokens.shape[1] > self.n_ctx:
            raise DoesNotFitError(
                f"Rows of {tokens.shape[1]} tokens do not fit {self.name}: its context is {self.n_ctx}. Shorten them."
            )
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.d_vocab:
            raise DoesNotFitError(
                f"Token ids from {tokens.min()} to {tokens.max()} do not fit {self.name}: expected 0 to "
                f"{self.d_vocab - 1}. Use text that this model's tokenizer has read."
            )
        if hook_name == "blocks.0.hook_resid_pre" and self.positions == "absolute":
            return self.W_E[tokens] + self.W_pos[: tokens.shape[1]]
        import torch

        parts = hook_name.split(".")
        stop = int(parts[1]) + 1 if parts[0] == "blocks" else None
        with self.lock, torch.no_grad():
            _, cache = self.hooked.run_with_cache(
                torch.from_numpy(tokens.astype(np.int64)), names_filter=hook_name, stop_at_layer=stop
            )
            found = cache[hook_name]
        return found.flatten(2).float().numpy()


def read_model_config(folder: Path) -> dict[str, Any]:
    """Read and check config.json of a model folder; raise BadDictionaryError if it is none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        odd = [name for name in WHOLE_NUMBERS if type(config[name]) is not int or config[name] < 1]
        odd += [] if isinstance(config["model_name"], str) else ["model_name"]
        if odd:
            raise ValueError(f"{odd[0]} is {config[odd[0]]!r:.80}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadDictionaryError(
            f"{folder} is no model folder ({type(error).__name__}: {error}). Expected config.json with model_name "
            f"and whole numbers {', '.join(WHOLE_NUMBERS)}, beside model.safetensors and tokenizer.json. "
            "Export the model again, or name another folder."
        ) from error
    return config


def find_model(name: str | None, workspace: Workspace, *, centred: bool = False) -> LanguageModel:
    """Open the model folder whose config carries this name.

    Raises UnknownNameError when none of the workspace's model folders does.
    """
    known = []
    for folder in workspace.models:
        if (folder / "config.json").is_file():
            model = LanguageModel(folder, centred=centred)
            known.append(model.name)
            if model.name == name:
                return model
    raise UnknownNameError("model", str(name), known)


def check_fit(config, model: LanguageModel) -> None:
    """Raise DoesNotFitError unless a dictionary's config names a hook of this model with its width."""
    width = model.hook_width(config.hook_name)
    if width != config.d_in:
        raise DoesNotFitError(
            f"The dictionary reads vectors of width {config.d_in}, but {config.hook_name} of {model.name} has "
            f"{width}. Choose the model it was trained on, or check d_in in its cfg.json."
        )
