"""Folders of a full-sized model and its dictionaries, with random weights: what `benchmarks.full_size` opens.

A model of GPT-2's shape in Hugging Face's layout, with a tokenizer trained on Python's own library, and three
dictionaries in sae-lens' layout: two at layer 0 that differ in the seed, and one at layer 8.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np

from benchmarks import positions as of_positions
from core.corpus.streams import standard_library
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.folder import read_folder
from core.models.language_model import LanguageModel

MODEL, DICTIONARIES = "random-gpt2", ("layer0-seed0", "layer0-seed1", "layer8-seed0")
SHARED = 0.6
"""The share of the second dictionary's features that are noisy copies of the first one's."""
DENSITY = 80
"""Features active on a token, about."""


@dataclass(frozen=True)
class Size:
    """The sizes of the model and of every dictionary."""

    d_sae: int = 24576
    d_model: int = 768
    n_layers: int = 12
    d_vocab: int = 50257
    n_ctx: int = 1024
    context: int = 128
    """The context on which dictionaries say that they were trained."""

    def __str__(self) -> str:
        return f"{self.d_sae} features, d {self.d_model}, {self.n_layers} layers, {self.d_vocab} tokens"


def write(folder: Path, size: Size) -> None:
    """Write what is not there yet. A folder with another size's files is refused by an assertion."""
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "size.txt"
    assert not said.exists() or said.read_text() == str(size), f"{folder} holds {said.read_text()}"
    said.write_text(str(size))
    _once(folder / MODEL, lambda place: write_model(place, size))
    model = LanguageModel(folder / MODEL)
    shape = of_positions.Shape(size.d_sae, size.d_vocab, size.n_ctx, size.d_model)
    rate = float(np.log(DENSITY / size.d_sae) - 1.28)  # the mean of a log-normal with a deviation of 1.6

    def first() -> Dictionary:
        return of_positions.synthetic_dictionary(shape, model, log_rate=rate)

    makers: dict[str, Callable[[], Dictionary]] = {
        DICTIONARIES[0]: first,
        DICTIONARIES[1]: lambda: other_seed(read_folder(folder / DICTIONARIES[0], id="x", title="x")),
        DICTIONARIES[2]: lambda: at_layer(first(), model, min(8, size.n_layers - 1)),
    }
    for name, make in makers.items():
        _once(folder / name, lambda place, make=make: _save(make(), place, size))


def _once(place: Path, write_to: Callable[[Path], None]) -> None:
    if place.exists():
        return
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    write_to(part)
    part.rename(place)


def _save(dictionary: Dictionary, place: Path, size: Size) -> None:
    dictionary.save(place)
    config = dictionary.config
    said = {"model_name": MODEL, "hook_name": config.hook_name, "context_size": size.context, "prepend_bos": True}
    raw = {"architecture": "standard", "d_in": size.d_model, "d_sae": size.d_sae, "dtype": "float32"}
    raw |= {"apply_b_dec_to_input": True, "metadata": said}
    (place / "cfg.json").write_text(json.dumps(raw))


def write_model(place: Path, size: Size) -> None:
    """Write config, weights and tokenizer under the names that GPT-2's files have on the hub."""
    from safetensors.numpy import save_file

    place.mkdir()
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": size.d_model, "n_head": 12}
    config |= {"n_layer": size.n_layers, "n_positions": size.n_ctx, "n_ctx": size.n_ctx, "vocab_size": size.d_vocab}
    config |= {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "_name_or_path": MODEL}
    config |= {"bos_token_id": 0, "eos_token_id": 0}
    (place / "config.json").write_text(json.dumps(config))
    save_file(model_tensors(size), place / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(place / "tokenizer.json", size.d_vocab)


def model_tensors(size: Size) -> dict[str, np.ndarray]:
    """Draw the weights: embeddings in clusters and positions on a curve, the rest as GPT-2 is initialised."""
    rng, d = np.random.default_rng(4), size.d_model
    tensors = dict(_embeddings(size))
    shapes = {"ln_1": (d,), "ln_2": (d,), "attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d)}
    shapes |= {"mlp.c_fc": (d, 4 * d), "mlp.c_proj": (4 * d, d)}
    for layer in range(size.n_layers):
        for name, shape in shapes.items():
            weight = np.ones(shape, np.float32) if len(shape) == 1 else _normal(rng, shape)
            tensors[f"h.{layer}.{name}.weight"] = weight
            tensors[f"h.{layer}.{name}.bias"] = _normal(rng, shape[-1:])
    tensors["ln_f.weight"], tensors["ln_f.bias"] = np.ones(d, np.float32), np.zeros(d, np.float32)
    return tensors


def _embeddings(size: Size) -> Iterator[tuple[str, np.ndarray]]:
    import tempfile

    shape = of_positions.Shape(size.d_sae, size.d_vocab, size.n_ctx, size.d_model)
    with tempfile.TemporaryDirectory() as folder:
        drawn = of_positions.synthetic_model(shape, Path(folder))
        yield "wte.weight", drawn.W_E.copy()
        yield "wpe.weight", drawn.W_pos.copy()


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 0.02 * rng.standard_normal(shape, dtype=np.float32)


def write_tokenizer(path: Path, d_vocab: int) -> None:
    """Train a byte-level BPE on Python's library and write it. Ids that this leaves free get made-up words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator((document.text for document in standard_library()), trainer)
    short = d_vocab - tokenizer.get_vocab_size()
    tokenizer.add_tokens([f"filler{i}" for i in range(max(0, short))])
    tokenizer.save(str(path))


def other_seed(dictionary: Dictionary) -> Dictionary:
    """Return noisy copies of six tenths of the features, in another order, among new ones."""
    rng = np.random.default_rng(1)
    order = rng.permutation(dictionary.d_sae)
    W_dec, W_enc, b_enc = dictionary.W_dec[order], dictionary.W_enc.T[order], dictionary.b_enc[order].copy()
    noise = rng.standard_normal(W_dec.shape, dtype=np.float32) / np.sqrt(np.float32(dictionary.d_in))
    size = rng.uniform(0.05, 1.15, (len(W_dec), 1)).astype(np.float32)
    size[int(SHARED * len(size)) :] = 30  # nothing of the first dictionary is left
    tensors = {"W_dec": _unit(W_dec + size * noise), "W_enc": 0.95 * _unit(W_enc + size * noise).T, "b_enc": b_enc}
    return _with(dictionary, tensors | {"b_dec": dictionary.b_dec})


def at_layer(dictionary: Dictionary, model: LanguageModel, layer: int) -> Dictionary:
    """Return the same directions at a deeper layer, with biases that keep the densities there."""
    hook = f"blocks.{layer}.hook_resid_pre"
    rows = np.random.default_rng(2).integers(0, model.d_vocab, (8, 64))
    x = model.activations(rows, hook).reshape(-1, dictionary.d_in)
    b_dec = x.mean(axis=0)
    z = (x - b_dec) @ dictionary.W_enc
    rate = np.clip(np.exp(np.random.default_rng(3).standard_normal(z.shape[1]) * 1.6 - 7), 1e-5, 0.6)
    quantile = np.array([NormalDist().inv_cdf(1 - r) for r in rate])
    tensors = {"W_dec": dictionary.W_dec, "W_enc": dictionary.W_enc, "b_dec": b_dec}
    return _with(dictionary, tensors | {"b_enc": -(z.mean(axis=0) + quantile * z.std(axis=0))}, hook)


def _with(dictionary: Dictionary, tensors: dict[str, np.ndarray], hook: str | None = None) -> Dictionary:
    config = replace(dictionary.config, hook_name=hook or dictionary.config.hook_name)
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}
    how = {"raw_config": {"architecture": "standard"}, "tensors": arrays}
    return Dictionary(id="other", title="other", config=config, **how)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
