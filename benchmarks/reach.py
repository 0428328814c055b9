"""Which pages open for which dictionaries and models:   python -m benchmarks.reach

Writes docs/reach.md. For each release of sae-lens' registry and each kind of hook in it, the first layer's dictionary
is written in its own format with small random weights, put on a stand-in for the hub, downloaded, opened and asked
what the pages ask; so is a small random model of its model's architecture. For each architecture that TransformerLens
maps, the map itself is asked. Nothing is downloaded from anywhere else, and no answer is written by hand.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from core.dictionaries import sources
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.registry import loaders
from core.dictionaries.registry.index import RegistryItem, registry
from core.errors import LoupeError
from core.installation import PROJECT
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.models import downloads, names
from core.models.architecture import Architecture
from core.models.language_model import LanguageModel
from core.models.layouts import model_parts
from core.models.places import Places
from core.models.search import check_hooks, find_model
from core.workspace import Workspace
from tests.doubles.registry_files import WRITERS
from tests.doubles.standin_hub import StandIn
from tests.doubles.tiny_models import TINY, write_tiny

DOCUMENT = PROJECT / "docs" / "reach.md"
DEPTHS = (4, 12, 28, 52)
"""Layers of small models; the shallowest one that has a dictionary's layer stands for the real one."""
COLUMNS = {
    "opens": "Geometry, Feature map, Matching, Splitting, Overview",
    "logits": "Logit weights; the tokens on Feature and Neuronpedia",
    "text": "Text, Feature, Activations, Positions, Neuronpedia, and all else that runs the model",
    "loss": "variance explained and loss, on Activations and Overview",
}
TOKENS = np.arange(1, 9)[None] * 13
REAL = {"GPT2LMHeadModel": ("gpt2",)}
"""Models that TransformerLens' list of models leaves out."""


@dataclass(frozen=True)
class Row:
    """What one kind of dictionary of a release, or one architecture, gives. A reason is empty where all is right."""

    title: tuple[str, ...]
    count: int
    reasons: tuple[str, ...]


def reason(question: Callable[[], object]) -> str:
    """Ask, and return why not; empty where the answer comes."""
    try:
        question()
    except LoupeError as error:
        return first_sentence(str(error))
    return ""


def first_sentence(message: str) -> str:
    """Return the part of a message that says what is wrong, without folders and with plain spaces."""
    message = re.sub(r"/\S*/", "", " ".join(message.split()))
    found = re.match(r".+?[a-z0-9)'\"]\.(?= [A-Z])", message)
    return (found[0] if found else message)[:300]


@contextlib.contextmanager
def hub_at(url: str, folder: Path) -> Iterator[None]:
    """Point this process at a hub and an empty cache, and let nothing wait; undone afterwards."""
    from huggingface_hub import constants

    changed = {"ENDPOINT": url, "HF_HUB_CACHE": str(folder), "HF_HUB_OFFLINE": False}
    before = {name: getattr(constants, name) for name in changed}
    no_proxy = os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = "127.0.0.1"
    try:
        for name, value in changed.items():
            setattr(constants, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(constants, name, value)
        os.environ.pop("NO_PROXY") if no_proxy is None else os.environ.update(NO_PROXY=no_proxy)


@contextlib.contextmanager
def believing_shapes() -> Iterator[None]:
    """Let sae-lens' loaders take sizes from the weights, where they take those of the full model from the name."""
    of_cache = loaders._loaders_on_cache

    def patched(*given: object):
        module = of_cache(*given)
        module.NAMED_PRETRAINED_SAE_LOADERS = {
            name: _sized(loader) for name, loader in module.NAMED_PRETRAINED_SAE_LOADERS.items()
        }
        return module

    loaders._loaders_on_cache = patched
    try:
        yield
    finally:
        loaders._loaders_on_cache = of_cache


def _sized(loader: Callable) -> Callable:
    def load(*args: object, **how: object):
        config, state, sparsity = loader(*args, **how)
        if "W_enc" in state:
            config["d_in"], config["d_sae"] = state["W_enc"].shape
        if "d_out" in config:
            config["d_out"] = state["W_dec"].shape[1]
        return config, state, sparsity

    return load


@cache
def architecture_of() -> dict[str, str]:
    """Map repositories of models to their architectures, by the list that TransformerLens comes with."""
    import transformer_lens

    path = Path(transformer_lens.__path__[0], "tools/model_registry/data/supported_models.json")
    known = {model["model_id"]: model["architecture_id"] for model in json.loads(path.read_text())["models"]}
    return known | {name: architecture for architecture, found in REAL.items() for name in found}


def kinds(release: str) -> list[tuple[RegistryItem, int]]:
    """Return the first layer's item for each kind of hook in a release, and how many there are of the kind."""
    found: dict[str, list[RegistryItem]] = {}
    for item in registry().items:
        if item.release == release:
            found.setdefault(item.hook_kind, []).append(item)
    return [(min(items, key=_layer), len(items)) for items in found.values()]


def _layer(item: RegistryItem) -> int:
    match = re.search(r"(?:layer_?|blocks\.|^l)(\d+)", item.sae_id)
    return int(match[1]) if match else 0


def _run(model: LanguageModel) -> None:
    """Read the stream after block 1; what runs it holds that to the model as it runs on its own."""
    import torch

    assert model.running.read(torch.from_numpy(TOKENS), ["blocks.1.hook_resid_post"])


def architectures(wanted: Iterable[str] | None = None) -> list[Row]:
    """Return the rows of all architectures that TransformerBridge names, or of some."""
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

    with tempfile.TemporaryDirectory(prefix="loupe-reach-") as folder:
        return [
            _architecture(name, Path(folder)) for name in sorted(SUPPORTED_ARCHITECTURES if wanted is None else wanted)
        ]


def _architecture(name: str, folder: Path) -> Row:
    tiny = next((tiny for tiny, (known, _) in TINY.items() if known == name), None)
    if tiny is not None:
        whole = write_tiny(tiny, folder)
        model = LanguageModel(whole)
        asked = (lambda: unembedding(model, LogitSettings()), lambda: _run(model))
        return Row((name, "a small model, run"), 1, tuple(reason(question) for question in asked))
    config = _default_config(name)
    if isinstance(config, str):
        return Row((name, "its name"), 1, (config, config))
    why = reason(lambda: Architecture(config, name).meta)
    if "no model that transformers can build" in why:
        why = "The defaults that transformers has for it make no model, or need another library, so it was not asked."
        return Row((name, "nothing"), 1, (why, why))
    return Row((name, "its map"), 1, (reason(lambda: _mapped(config, name)), reason(lambda: _placed(config, name))))


def _default_config(name: str) -> dict | str:
    """Return a config with the class's own defaults; why there is none, where there is none."""
    import transformers

    model_class = getattr(transformers, name, None)
    if model_class is None or getattr(model_class, "config_class", None) is None:
        return f"transformers {transformers.__version__} has no model of this name; its code lies beside its weights."
    return {"model_type": model_class.config_class.model_type, "architectures": [name]}


def _mapped(config: dict, name: str) -> None:
    """Raise a LoupeError unless embedding and unembedding are found by the architecture's map."""
    stored = Architecture(config, name).meta.state_dict()
    found = model_parts(json.dumps(config), stored, name).stored
    missing = [part for part in ("embed.W_E", "unembed.W_U") if part not in found]
    if missing:
        raise LoupeError(f"TransformerLens' map does not say where {' and '.join(missing)} lies.")


def _placed(config: dict, name: str) -> None:
    """Raise a LoupeError unless the stream after the first block has a place."""
    architecture = Architecture(config, name)
    if "blocks" not in architecture.adapter.component_mapping:
        raise LoupeError("TransformerLens' map has no one row of blocks.")
    Places(architecture).find("blocks.0.hook_resid_post", name)


class Bench:
    """A stand-in hub with small models of all architectures, and a place for what is downloaded."""

    def __init__(self, folder: Path, hub: StandIn):
        self.folder, self.hub = folder, hub
        self.workspace = Workspace(cache=folder / "cache", models=())
        self._models: dict[tuple[str, int], LanguageModel] = {}

    def model(self, name: str, layer: int) -> LanguageModel:
        """Return a small model that stands for a real one, downloaded. Raises UnknownNameError for an unknown name."""
        repository = names.repository(name) or name
        depth = next(depth for depth in DEPTHS if depth > layer + 1)
        if (repository, depth) not in self._models:
            architecture = architecture_of().get(repository)
            tiny = next((tiny for tiny, (known, _) in TINY.items() if known == architecture), None)
            if tiny is not None:
                whole = self.folder / str(depth) / tiny
                if not whole.exists():
                    write_tiny(tiny, whole.parent, tokenizer=True, n_layers=depth)
                self.hub.repositories[repository] = whole
                downloads.download(name)
            self._models[repository, depth] = find_model(name, self.workspace)
        return self._models[repository, depth]

    def dictionary(self, item: RegistryItem) -> Dictionary:
        """Write an item small, and download and open it."""
        root = self.folder / "dictionaries" / item.release / re.sub(r"\W", "-", item.sae_id)
        WRITERS[item.conversion](root, item)
        self.hub.repositories[item.repository] = root
        with contextlib.suppress(LoupeError):
            sources.download(item.id)
        with believing_shapes():
            return sources.open_dictionary(item.id, self.workspace)

    def row(self, item: RegistryItem, count: int) -> Row:
        """Ask one dictionary what every page asks."""
        title = (item.release, item.model, item.hook_kind)
        opened: list[Dictionary] = []
        models: list[LanguageModel] = []
        why = reason(lambda: opened.append(self.dictionary(item)))
        if why:
            return Row(title, count, (why,) * len(COLUMNS))
        why = reason(lambda: models.append(self.model(str(opened[0].config.model_name), _layer(item))))
        if why:
            return Row(title, count, ("", *(why,) * (len(COLUMNS) - 1)))
        asked = (self.logits, self.text, self.loss)
        return Row(title, count, ("", *(reason(lambda ask=ask: ask(opened[0], models[0])) for ask in asked)))

    def logits(self, dictionary: Dictionary, model: LanguageModel) -> None:
        rows = residual_directions(dictionary, model, LogitSettings())
        assert np.isfinite(rows @ unembedding(model, LogitSettings()).rows.T).all()

    def text(self, dictionary: Dictionary, model: LanguageModel) -> None:
        check_hooks(dictionary, model)
        assert np.isfinite(dictionary.encode(self._read(dictionary.config.hook_name, model))).all()

    def loss(self, dictionary: Dictionary, model: LanguageModel) -> None:
        check_reconstructs(dictionary.config, dictionary.title)
        self.text(dictionary, model)
        hook = dictionary.config.hook_name_out or dictionary.config.hook_name
        assert np.isfinite(self._read("ln_final.hook_normalized", model, replaced=hook)).all()

    def _read(self, hook: str, model: LanguageModel, *, replaced: str | None = None) -> np.ndarray:
        import torch

        how = {"replace": (replaced, lambda value: value * 0.5)} if replaced else {}
        return model.running.read(torch.from_numpy(TOKENS), [hook], **how)[hook].float().numpy()


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="loupe-reach-")))
        hub = opened.enter_context(StandIn({}))
        opened.enter_context(hub_at(hub.url, folder / "hub"))
        yield Bench(folder, hub)


def releases(wanted: Iterable[str] | None = None) -> list[Row]:
    """Return the rows of all releases of the registry, or of some."""
    found = list(dict.fromkeys(item.release for item in registry().items)) if wanted is None else list(wanted)
    with bench() as on:
        return [on.row(item, count) for release in found for item, count in kinds(release)]


def share(rows: Iterable[Row], column: int) -> str:
    rows = list(rows)
    right, whole = sum(row.count for row in rows if not row.reasons[column]), sum(row.count for row in rows)
    return f"{100 * right / whole:.1f} %"


def table(rows: list[Row], heads: tuple[str, ...], *, counted: bool) -> list[str]:
    """Return a table in Markdown, and below it the reasons by their numbers."""
    whys = list(dict.fromkeys(why for row in rows for why in row.reasons if why))
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        answers = [f"no ({whys.index(why) + 1})" if why else "yes" for why in row.reasons]
        cells = [*row.title, *([f"{row.count:,}"] if counted else []), *answers]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *(f"{i}. {escaped(why)}" for i, why in enumerate(whys, 1)), ""]


def escaped(text: str) -> str:
    return re.sub(r"([|<>*_`])", r"\\\1", text)


def document(of_releases: list[Row], of_architectures: list[Row]) -> str:
    """Return docs/reach.md."""
    shares = [f"- {share(of_releases, i)}: {what}" for i, what in enumerate(COLUMNS.values())]
    lines = [
        "# What opens",
        "",
        "Made by `python -m benchmarks.reach`. For each release of sae-lens' registry and each kind of hook in it, the",
        "first layer's dictionary was written in its own format with small random weights, put on a stand-in for the",
        "hub, downloaded, opened and asked what the pages ask, with a small random model of its model's architecture.",
        "So this shows that formats, hooks and architectures are read. Real sizes and real weights are not tried here,",
        "and no page is drawn.",
        "",
        f"Of {sum(row.count for row in of_releases):,} dictionaries, each page opens for:",
        "",
        *shares,
        "",
        "## Releases",
        "",
        *table(
            of_releases,
            ("release", "model", "kind", "dictionaries", "weights", "logit weights", "text", "loss"),
            counted=True,
        ),
        "## Architectures",
        "",
        f"The {len(of_architectures)} architectures that TransformerBridge names. Those with a small model in tests",
        "were run, and their hooks compared with the model as it runs on its own; of the others, the map was asked for",
        "embedding, unembedding and the stream after the first block.",
        "",
        *table(of_architectures, ("architecture", "asked", "weight pages", "text pages"), counted=False),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    from core.work.torch_library import import_model_library

    import_model_library()
    import torch
    import transformers

    torch.set_num_threads(1)  # threads only wait for each other in models so small
    transformers.utils.logging.set_verbosity_error()
    DOCUMENT.write_text(document(releases(), architectures()), encoding="utf-8")
    print(DOCUMENT)


if __name__ == "__main__":
    main()
