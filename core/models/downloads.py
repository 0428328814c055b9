"""Models of the hub: find them in the cache by any of their names, download them whole or in part.

The weight pages need only the embedding, positions, unembedding and final norm: 160 of the 550 MB of gpt2. A hub
that gives parts of files sends only those. They are kept in a model folder of their own, with the hash of the
whole file.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import HubDamagedError, HubError, HubNotFoundError, UnknownNameError
from core.hub import cache, client
from core.hub import download as hub_download
from core.hub.cache import MAIN
from core.hub.client import HubFile
from core.hub.download import Cost
from core.models import layouts, names, tokenizer_files
from core.models.layouts import CONFIG_FILE, EMBEDDINGS, INDEX_FILE, WEIGHTS_FILE
from core.models.tokenizer_files import TOKENIZER_FILE
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress
from core.work.temporary import temporary_folder
from core.workspace import Workspace

ORIGIN_FILE = "origin.json"
LARGEST_HEADER = 100 << 20


def local_folder(name: str, workspace: Workspace) -> Path | None:
    """Return the folder of a model in the hub's cache if it is whole, else the one of its kept tensors, else None."""
    repository = names.repository(name)
    if repository is None:
        return None
    folder = cache.snapshot(repository)
    if folder is not None and is_whole(folder):
        return folder
    kept = tensors_folder(repository, workspace)
    return kept if (kept / WEIGHTS_FILE).is_file() else None


def is_whole(folder: Path) -> bool:
    """Whether a folder has a config, all shards of the weights, and the tokenizer, if the hub has one."""
    if not (folder / CONFIG_FILE).is_file() or not _tokenizer_is_settled(folder):
        return False
    if (folder / WEIGHTS_FILE).is_file():
        return True
    if not (folder / INDEX_FILE).is_file():
        return False
    return all((folder / shard).is_file() for shard in set(layouts.shard_of(folder).values()))


def _tokenizer_is_settled(folder: Path) -> bool:
    sets = ((TOKENIZER_FILE,), *tokenizer_files.MADE_OF)
    here = any(all((folder / name).is_file() for name in names) for names in sets)
    return here or cache.is_known_absent(folder, TOKENIZER_FILE)


def tensors_folder(repository: str, workspace: Workspace) -> Path:
    return workspace.cache / "models" / repository.replace("/", "--")


def origin(folder: Path) -> dict[str, Any] | None:
    """Return the origin of kept tensors (repository, commit, hash and bytes of the whole); None for a whole model."""
    try:
        return json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def cost(name: str) -> Cost:
    """Ask the hub what downloading a whole model would fetch. Raises UnknownNameError for a name without repository."""
    repository = _repository(name)
    try:
        found = hub_download.cost(repository, MAIN, [CONFIG_FILE, WEIGHTS_FILE])
    except HubNotFoundError:
        shards = sorted(set(_weight_map(repository).values()))
        found = hub_download.cost(repository, MAIN, [CONFIG_FILE, INDEX_FILE, *shards])
    return Cost((*found.files, *_tokenizer(repository, found.files[0].commit)))


def _tokenizer(repository: str, commit: str) -> list[HubFile]:
    """Ask for the files of a tokenizer: tokenizer.json, else what it can be made of; none if the hub has neither."""

    def there(name: str) -> HubFile | None:
        try:
            return client.describe(repository, name, commit)
        except HubNotFoundError:
            return None

    sets = ((TOKENIZER_FILE,), *tokenizer_files.MADE_OF)
    whole = (files for files in ([there(name) for name in names] for names in sets) if all(files))
    found = [file for file in next(whole, ()) if file is not None]
    beside = map(there, tokenizer_files.SETTINGS) if found else ()
    return [*found, *(file for file in beside if file is not None)]


def download(name: str, progress: Progress = SILENT) -> None:
    """Download a whole model into the cache, and note it if the hub has no tokenizer for it."""
    wanted = cost(name)
    paths = hub_download.download(wanted, MAIN, progress)
    if not _tokenizer_is_settled(paths[0].parent):
        cache.note_absent(paths[0].parent, TOKENIZER_FILE)


@dataclass(frozen=True)
class TensorPlan:
    """The parts of files that hold the tensors of the weight pages."""

    config: HubFile
    tokenizer: tuple[HubFile, ...]
    """Its files; none for a model that has no tokenizer."""
    parts: tuple[tuple[HubFile, str, Mapping[str, Any], int], ...]
    """For each tensor: its file, its name, its entry in the header, and the offset of the file's data in bytes."""
    whole: tuple[HubFile, ...]
    """The files that hold these parts."""

    @property
    def nbytes(self) -> int:
        """Bytes that would be fetched."""
        data = sum(entry["data_offsets"][1] - entry["data_offsets"][0] for _, _, entry, _ in self.parts)
        return data + self.config.nbytes + sum(file.nbytes for file in self.tokenizer)


def tensor_plan(name: str) -> TensorPlan:
    """Ask the hub for headers and return which parts of files hold the tensors of the weight pages.

    Raises HubError (RangeRefusedError where the hub gives no parts of files), UnknownNameError for a name without
    repository, and BadDictionaryError for a family that is not known.
    """
    repository = _repository(name)
    client.check_reachable()
    config = client.describe(repository, CONFIG_FILE)
    content = client.read_range(config, 0, config.nbytes)
    _json(content, config)
    layout = content.decode("utf-8", "replace")
    try:
        shards = [client.describe(repository, WEIGHTS_FILE, config.commit)]
        headers = [read_header(shards[0])]
        wanted = _wanted(layout, headers[0][0], repository)
    except HubNotFoundError:
        weight_map = _weight_map(repository)
        wanted = _wanted(layout, weight_map, repository)
        files = sorted({weight_map[tensor] for tensor in wanted})
        shards = [client.describe(repository, file, config.commit) for file in files]
        headers = [read_header(shard) for shard in shards]
    parts = []
    for shard, (header, start) in zip(shards, headers, strict=True):
        parts += [(shard, tensor, header[tensor], start) for tensor in sorted(wanted & header.keys())]
    return TensorPlan(config, tuple(_tokenizer(repository, config.commit)), tuple(parts), tuple(shards))


def _wanted(layout: str, stored: Collection[str], repository: str) -> set[str]:
    """Return the names in the files of all that weight pages need."""
    return set(layouts.files_names(layouts.model_parts(layout, stored, repository), EMBEDDINGS))


def download_tensors(name: str, workspace: Workspace, progress: Progress = SILENT) -> Path:
    """Fetch only the tensors of the weight pages, and return the folder in the app's cache that keeps them.

    Raises what `tensor_plan` raises, OutOfSpaceError and CancelledError; an error leaves nothing behind.
    """
    plan = tensor_plan(name)
    folder = tensors_folder(plan.config.repository, workspace)
    hub_download.check_space(plan.nbytes)
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with temporary_folder(folder.parent) as temporary:
        target = temporary / "model"
        target.mkdir()
        for file, pieces in _outputs(plan):
            with open(target / file, "wb") as out:
                for piece in pieces:
                    out.write(piece)
                    done += len(piece)
                    progress.update(min(done, plan.nbytes), plan.nbytes)
        (target / ORIGIN_FILE).write_text(json.dumps(_origin(plan)))
        # Fewer names are another question; asked now, while torch is here.
        layouts.read_parts(target, ArtifactStore(workspace.cache))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(target, folder)
    return folder


def _outputs(plan: TensorPlan) -> Iterator[tuple[str, Iterator[bytes]]]:
    yield CONFIG_FILE, client.stream(plan.config)
    yield from ((file.path, client.stream(file)) for file in plan.tokenizer)
    yield WEIGHTS_FILE, _safetensors(plan)


def _safetensors(plan: TensorPlan) -> Iterator[bytes]:
    """Yield, piece by piece, a safetensors file that holds only the parts of the plan."""
    header, at = {}, 0
    for _, name, entry, _ in plan.parts:
        size = entry["data_offsets"][1] - entry["data_offsets"][0]
        header[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for file, _, entry, start in plan.parts:
        begin, end = entry["data_offsets"]
        yield from client.stream(file, start + begin, start + end)


def _origin(plan: TensorPlan) -> dict[str, Any]:
    return {
        "repository": plan.config.repository,
        "commit": plan.config.commit,
        "weights_sha256": " ".join(file.etag for file in plan.whole),
        "nbytes": sum(file.nbytes for file in plan.whole),
    }


def read_header(file: HubFile) -> tuple[dict[str, Any], int]:
    """Return the entries of a safetensors header by name, and the offset in bytes at which the data begin.

    Asks for two parts of the file. Raises HubError, and HubDamagedError if the file is not safetensors.
    """
    size = int.from_bytes(client.read_range(file, 0, 8), "little") if file.nbytes > 8 else 0
    if not 2 <= size <= min(LARGEST_HEADER, file.nbytes - 8):
        raise _not_safetensors(file, f"its header would have {size:,} bytes")
    header = _json(client.read_range(file, 8, 8 + size), file)
    header.pop("__metadata__", None)
    data = file.nbytes - 8 - size
    for name, entry in header.items():
        try:
            begin, end = entry["data_offsets"]
            good = isinstance(entry["dtype"], str) and isinstance(entry["shape"], list) and 0 <= begin <= end <= data
        except (TypeError, KeyError, ValueError):
            good = False
        if not good:
            raise _not_safetensors(file, f"its entry for {name[:80]!r} is odd")
    return header, 8 + size


def _weight_map(repository: str) -> dict[str, str]:
    index = client.describe(repository, INDEX_FILE)
    listed = _json(client.read_range(index, 0, index.nbytes), index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(v, str) and cache.is_inside(v) for v in listed.values()):
        raise _not_safetensors(index, "it has no weight_map")
    return listed


def _repository(name: str) -> str:
    repository = names.repository(name)
    if repository is None:
        raise UnknownNameError("model", name, sorted(names.aliases()))
    return repository


def _json(content: bytes, file: HubFile) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
        if not isinstance(parsed, dict):
            raise ValueError(f"a {type(parsed).__name__}")
    except (ValueError, RecursionError) as error:
        raise _not_safetensors(file, f"no JSON object ({str(error)[:80]})") from error
    return parsed


def _not_safetensors(file: HubFile, why: str) -> HubError:
    return HubDamagedError(
        f"{file.path} of {file.repository} is not what its name says: {why}. Expected a file of Hugging Face's layout; "
        "choose another revision, or tell its owner."
    )
