"""A language model: its tensors are read from the file, and the running model is built only on demand.

The weight pages need only embeddings and unembedding, which are read without torch and without building a model.
A model folder holds `config.json` (TransformerLens' names), `model.safetensors` (its state dict without masks) and
`tokenizer.json`, or the same three files in Hugging Face's layout (core.models.layouts). The folder may be the
user's own, one of the download cache, or one with kept tensors (core.models.downloads).
"""

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from core.errors import DoesNotFitError, NotDownloadedError
from core.files.tensors import file_sha256, read_tensors
from core.models import changes, downloads, layouts, loading, tokenizer_files
from core.models.architecture import Architecture, read_architecture
from core.models.config import block_hooks, hook_width, read_model_config
from core.models.embeddings import NAMES, TRAINED, WPE, Embeddings, check_shapes, embeddings, no_unembedding
from core.models.hf_runner import HfRunner
from core.models.hook_table import HookTable, hook_table
from core.models.places import Places
from core.models.running import HookedRunner
from core.models.tokens import decode_vocabulary
from core.work.artifacts import ArtifactStore

RUNTIME_FIELDS = {"architecture", "device", "dtype", "seed", "init_weights", "init_mode", "initializer_range"}
RUNTIME_FIELDS |= {"n_devices", "n_params", "tokenizer_name", "tokenizer_prepends_bos", "default_prepend_bos"}
"""Config entries that do not change what the weights compute. Only the others go to TransformerLens."""
_IDLE_FIELDS = {"_name_or_path", "architectures", "bos_token_id", "dtype", "eos_token_id", "pad_token_id"}
_IDLE_FIELDS |= {"torch_dtype", "transformers_version", "use_cache"}
"""The same of a config in Hugging Face's layout. TransformerLens and transformers read all of it."""


class LanguageModel:
    """The model of one folder. `centred` subtracts from all weights that write to the stream their mean over d_model.

    `dtype` is what it runs in, one of loading.DTYPES, or that of its weights; a folder in TransformerLens' own names
    runs in float32. `wpe` is one of WPE. It replaces the position embedding, to see what depends on it; the result
    counts as another model and has another hash. Raises DoesNotFitError if the model has no learned position embedding
    to replace.

    All sessions share one model, and hooks are state of its module; hence `lock`. Hold it for one batch, never longer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        centred: bool = False,
        name: str | None = None,
        wpe: str = TRAINED,
        store: ArtifactStore | None = None,
        dtype: str = loading.OWN,
    ):
        assert wpe in WPE, wpe
        self.folder, self.wpe, self._store = folder, wpe, store
        self.lock = threading.RLock()
        self.make_room: Callable[[int], None] = lambda nbytes: None
        """Called before the running model is built, or keeps what a gradient needs, with the bytes; may raise."""
        self._nbytes_read = self._nbytes_built = 0
        self.parts = layouts.read_parts(folder, store)
        self.config = self.parts.config(name or folder.resolve().name) if self.parts else read_model_config(folder)
        self._origin = downloads.origin(folder)
        self.dtype = loading.dtype_of(folder, dtype) if self.parts else "float32"
        """What it runs in: one of loading.DTYPES. Tensors that weight pages read are float32 all the same."""
        self.name: str = self.config["model_name"]
        self.d_model: int = self.config["d_model"]
        self.n_ctx: int = self.config["n_ctx"]
        self.d_vocab: int = self.config["d_vocab"]
        self.n_layers: int = self.config["n_layers"]
        # A LayerNorm subtracts the mean anyway. With any other norm, centring would change what the model computes.
        self.centred = centred and str(self.config.get("normalization_type")).startswith("LN")
        if wpe != TRAINED and self.positions != "absolute":
            raise DoesNotFitError(
                f"{self.name} has no learned position embedding to make {wpe}: its positions are {self.positions}. "
                "Choose a model with absolute positions, such as gpt2, or leave its positions as they are."
            )

    @cached_property
    def sha256(self) -> str:
        """Content hash of the weights file and of everything that changes what they compute."""
        config = {k: v for k, v in self.config.items() if k not in RUNTIME_FIELDS} | {"centred": self.centred}
        if self.wpe != TRAINED:
            config["wpe"] = self.wpe
        if self.parts:
            said = json.loads(layouts.read_layout_config(self.folder) or "{}")
            config["layout"] = {k: v for k, v in said.items() if k not in _IDLE_FIELDS}
            config["runs"] = [HfRunner.version, self.dtype]
        if self._origin:  # kept tensors give the same numbers as the whole file, so they share its hash
            weights = self._origin["weights_sha256"]
        elif self.parts:
            weights = layouts.weights_sha256(self.folder)
        else:
            weights = file_sha256(self.folder / "model.safetensors")
        return hashlib.sha256(f"{weights}{json.dumps(config, sort_keys=True)}".encode()).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What its config says against itself or its files, and what was believed."""
        return self.parts.notes if self.parts else ()

    @property
    def nbytes(self) -> int:
        """Bytes in memory now. They grow, as tensors are read only when they are needed."""
        return self._nbytes_read + self._nbytes_built

    @property
    def positions(self) -> str:
        """How the model knows position: 'absolute' (added to the embedding), or 'rotary' and others."""
        kind = self.config.get("positional_embedding_type", "standard")
        return "absolute" if kind == "standard" else kind

    @cached_property
    def _embeddings(self) -> Embeddings:
        tensors = self._read(NAMES)
        n_ctx = self.n_ctx if self.positions == "absolute" else None
        check_shapes(tensors, self.folder, d_vocab=self.d_vocab, d_model=self.d_model, n_ctx=n_ctx)
        read = embeddings(tensors, centred=self.centred, wpe=self.wpe)
        self._nbytes_read = read.nbytes
        return read

    def _read(self, names: list[str]) -> dict[str, np.ndarray]:
        if self.parts:
            return layouts.read_layout(self.folder, self.parts, names)
        return read_tensors(self.folder / "model.safetensors", names)

    @property
    def W_E(self) -> Float[np.ndarray, "d_vocab d_model"]:
        return self._embeddings.W_E

    @property
    def W_pos(self) -> Float[np.ndarray, "n_ctx d_model"]:
        """Learned absolute positions. Raises DoesNotFitError where the model has none."""
        if self.positions != "absolute":
            raise DoesNotFitError(
                f"{self.name} has {self.positions} positions, expected learned absolute ones: "
                "no position vector is added to its embeddings. Use statistics from corpus text."
            )
        return self._embeddings.W_pos

    @property
    def W_U(self) -> Float[np.ndarray, "d_model d_vocab"]:
        """The unembedding. Raises DoesNotFitError where the model has none."""
        if self._embeddings.W_U is None:
            raise no_unembedding(self.name)
        return self._embeddings.W_U

    @cached_property
    def has_unembedding(self) -> bool:
        """Whether the files hold what makes logits of the last stream. Asks for names alone."""
        return "unembed.W_U" in (self.parts.stored if self.parts else layouts.shard_of(self.folder))

    @property
    def b_U(self) -> Float[np.ndarray, " d_vocab"] | None:
        return self._embeddings.b_U

    @property
    def ln_final(self) -> tuple[Float[np.ndarray, " d_model"] | None, Float[np.ndarray, " d_model"] | None]:
        """Weight and bias of the final norm; each is None where the file has none, for example where it was folded."""
        return self._embeddings.ln_w, self._embeddings.ln_b

    def tensor(self, name: str) -> np.ndarray:
        """Read one tensor as the file has it (not centred), without torch.

        Raises DoesNotFitError if the file has no such tensor, NotDownloadedError if only other tensors were kept.
        """
        tensors = self._read([name])
        if name not in tensors and self._origin:
            raise self._only_tensors()
        if name not in tensors:
            raise DoesNotFitError(
                f"The weights of {self.name} hold no {name[:100]!r}. Expected TransformerLens' names, with layers 0 to "
                f"{self.n_layers - 1}; choose a dictionary of this model, or export the model again."
            )
        return tensors[name]

    @cached_property
    def tokenizer(self):
        """The `tokenizers.Tokenizer` of the folder. Raises BadDictionaryError if it is missing or cannot be read."""
        return tokenizer_files.read_tokenizer(self.folder)

    @property
    def has_tokenizer(self) -> bool:
        """Whether the model can read text. Without a tokenizer it reads token ids only."""
        return tokenizer_files.has_tokenizer(self.folder)

    @cached_property
    def decoder(self):
        """A `tokenizers.Tokenizer` that writes token ids as text. For a model without one, it writes the numbers."""
        return self.tokenizer if self.has_tokenizer else tokenizer_files.ids_as_text(self.d_vocab)

    @cached_property
    def bos(self) -> int | None:
        """The token that begins a text (GPT-2's <|endoftext|>); None where the folder names none."""
        tokenizer = self.tokenizer if self.has_tokenizer else None
        return tokenizer_files.find_bos(self.folder, tokenizer, self.d_vocab)

    @cached_property
    def unknown(self) -> int | None:
        """The token that stands for text outside the vocabulary; None if the tokenizer has no such token."""
        return tokenizer_files.unknown_token(self.tokenizer) if self.has_tokenizer else None

    @cached_property
    def separator(self) -> int:
        """The token that separates documents: <|endoftext|>, else BOS, else 0."""
        named = self.tokenizer.token_to_id(tokenizer_files.SEPARATOR_NAME) if self.has_tokenizer else None
        return named if named is not None and named < self.d_vocab else self.bos or 0

    @cached_property
    def tokenizer_sha256(self) -> str:
        return tokenizer_files.tokenizer_sha256(self.folder, self.d_vocab)

    @cached_property
    def token_strings(self) -> tuple[str, ...]:
        """Every token as text, by id; unknown ids are empty. A model without tokenizer has its ids as text."""
        return decode_vocabulary(self.raw_tokens)

    @cached_property
    def raw_tokens(self) -> tuple[str, ...]:
        """Every vocabulary entry as the tokenizer stores it, by id; ids it does not know are empty."""
        return tuple(self.decoder.id_to_token(i) or "" for i in range(self.d_vocab))

    @cached_property
    def architecture(self) -> Architecture:
        """What transformers and TransformerLens say of a folder in Hugging Face's layout (imports both)."""
        return read_architecture(self.folder, layouts.stored_names(self.folder))

    @cached_property
    def hooked(self):
        """The HookedTransformer in float32 of a folder in TransformerLens' own names (imports torch on first use)."""
        assert self.parts is None, "only models in TransformerLens' own names run there"
        from core.models import running

        # For a while, the weights as read and the model that they are copied to are both in memory.
        nbytes = running.weights_nbytes(self.config)
        self.make_room(2 * nbytes)
        # null is absent, but for the norms: a model can have none.
        said = {k: v for k, v in self.config.items() if v is not None or k == "normalization_type"}
        known = {k: v for k, v in said.items() if k not in RUNTIME_FIELDS}
        W_pos = self.W_pos if self.wpe != TRAINED else None
        module = running.build_from_own_names(self.folder, known, centred=self.centred, W_pos=W_pos)
        self._nbytes_built = nbytes
        return module

    @cached_property
    def running(self) -> HfRunner | HookedRunner:
        """The model in memory, by hooks (imports torch on first use).

        One that is larger than the memory left runs from the disk, layer by layer. Raises NotDownloadedError where
        only the tensors of the weight pages are on this machine, MemoryBudgetError, BadDictionaryError.
        """
        if self._origin:
            raise self._only_tensors()
        if self.parts is None:
            return HookedRunner(self.hooked, self.name, lock=self.lock, has_unembedding=self.has_unembedding)
        changed = self.centred or self.wpe != TRAINED
        module, self._nbytes_built = loading.load_within(
            self.folder, self.architecture, self.dtype, self.make_room, may_offload=not changed
        )
        if self.centred:
            changes.centre(module, self.architecture)
        if self.wpe != TRAINED:
            changes.set_positions(module, self.architecture, self.W_pos, offset=self.parts.pos_offset)
        how = {"n_ctx": self.n_ctx, "lock": self.lock, "has_unembedding": self.has_unembedding}
        return HfRunner(module, self.architecture, self.name, **how)

    @property
    def whole(self) -> bool:
        """Whether all weights are on this machine, not only those that weight pages need."""
        return self._origin is None

    def _only_tensors(self) -> NotDownloadedError:
        missing = "all but the tensors of weight pages"
        return NotDownloadedError("model", self.name, self._origin["nbytes"], what=missing)

    @cached_property
    def _hooks(self) -> HookTable:
        content = layouts.read_layout_config(self.folder)
        return hook_table(content, self.n_layers, lambda: self.architecture, self._store)

    def hook_names(self) -> list[str]:
        """Return the hooks between the parts of a block and in its MLP, layer by layer, without building the model."""
        points = ["hook_resid_pre", "hook_attn_out", "hook_resid_mid", "mlp.hook_pre", "mlp.hook_post"]
        points += ["hook_mlp_out", "hook_resid_post"]
        names = [f"blocks.{layer}.{point}" for layer in range(self.n_layers) for point in points]
        if self.parts:
            return [name for name in names if name in self._hooks.by_name]
        there = block_hooks(self.config)
        return [name for name in names if name.split(".", 2)[2] in there]

    def hook_width(self, hook_name: str) -> int:
        """Return the width of activations at a hook. Raises DoesNotFitError if the model has no such hook."""
        if self.parts:
            width = self._hooks.by_name.get(hook_name)
            return width or Places(self.architecture).find(hook_name, self.name).width
        width = hook_width(self.config, hook_name)
        if width is not None:
            return width
        raise DoesNotFitError(
            f"{self.name} has no hook {hook_name[:100]!r} with one vector for each token. Expected a TransformerLens "
            f"name such as blocks.0.hook_resid_pre, with layers 0 to {self.n_layers - 1}. "
            "Choose a dictionary of this model."
        )

    def activations(self, tokens: Int[np.ndarray, "batch pos"], hook_name: str) -> Float[np.ndarray, "batch pos d_in"]:
        """Run the model up to a hook and return the activations there; axes per head, as at hook_z, are flattened.

        At blocks.0.hook_resid_pre of a model with absolute positions this is W_E + W_pos, without torch.
        Raises DoesNotFitError for rows longer than n_ctx, ids outside the vocabulary, and unknown hooks.
        """
        return self.activations_of(tokens, [hook_name])[hook_name]

    def activations_of(
        self, tokens: Int[np.ndarray, "batch pos"], hook_names: Sequence[str]
    ) -> dict[str, Float[np.ndarray, "batch pos _"]]:
        """Run the model once, up to the last of some hooks; return for each what `activations` does, to the bit."""
        for name in hook_names:
            self.hook_width(name)
        self.check_rows(tokens)
        found = {name: self.W_E[tokens] + self.W_pos[: tokens.shape[1]] for name in hook_names if self.is_sum(name)}
        deeper = list(dict.fromkeys(name for name in hook_names if name not in found))
        if deeper:
            from core.work.torch_library import import_model_library

            import_model_library()
            import torch

            values = self.running.read(torch.from_numpy(tokens.astype(np.int64)), deeper)
            found |= {name: values[name].float().numpy() for name in deeper}
        return found

    def is_sum(self, hook_name: str) -> bool:
        """Whether what passes at a hook is the sum of token and position embedding."""
        return hook_name == "blocks.0.hook_resid_pre" and self.positions == "absolute"

    def check_rows(self, tokens: Int[np.ndarray, "batch pos"]) -> None:
        """Raise DoesNotFitError for rows longer than n_ctx and ids outside the vocabulary."""
        if tokens.shape[1] > self.n_ctx:
            raise DoesNotFitError(
                f"Rows of {tokens.shape[1]} tokens do not fit {self.name}: its context is {self.n_ctx}. Shorten them."
            )
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.d_vocab:
            raise DoesNotFitError(
                f"Token ids from {tokens.min()} to {tokens.max()} do not fit {self.name}: expected 0 to "
                f"{self.d_vocab - 1}. Use text that this model's tokenizer has read."
            )
