"""Token passes of several dictionaries from one run of their model, each the very pass that it would be alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from core.activations.encoding import Encoder
from core.activations.reading import Stops, read_places
from core.activations.shards import PassPart, part_key
from core.activations.statistics import Tally
from core.activations.store import ActivationBlock, ActivationStore
from core.activations.token_pass import new_tally, open_store
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.errors import CancelledError, LoupeError
from core.models.batches import Place
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress, Stage

if TYPE_CHECKING:
    from core.activations.counts_on_device import DeviceTally


@dataclass
class _Fed:
    """A dictionary whose pass is on its way."""

    dictionary: Dictionary
    store: ActivationStore
    encoder: Encoder
    places: list[Place]
    tally: "Tally | DeviceTally"
    failed: LoupeError | None = None


def parts_together(
    dictionaries: Sequence[Dictionary],
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    artifacts: ArtifactStore,
    *,
    left_out: tuple[int, ...] = (),
    device: Device = CPU,
    progress: Progress = SILENT,
) -> list[PassPart | LoupeError]:
    """Return for each dictionary what `pass_part` returns, or what it failed with; the others go on without it.

    The model runs once, for the blocks and hooks that some dictionary lacks. Sums and blocks are stored as `pass_part`
    stores them. In memory are all dictionaries, and a block of activations at each hook. Raises CancelledError, and
    what the model fails with.
    """
    how = {"left_out": left_out, "device": device}
    keys = [part_key(one, model, rows, **how) for one in dictionaries]
    found: dict[int, PassPart | LoupeError | None] = {i: artifacts.load(PassPart, key) for i, key in enumerate(keys)}
    fed = {}
    for i in [i for i, stored in found.items() if stored is None]:
        try:
            fed[i] = _fed(dictionaries[i], model, rows, artifacts, **how)
        except LoupeError as error:
            found[i] = error
    _feed(list(fed.values()), rows, device, progress)
    for i, one in fed.items():
        found[i] = one.failed or artifacts.cached(PassPart, keys[i], lambda one=one: PassPart.of(one.tally.here()))
    return [part for part in found.values() if part is not None]


def _fed(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    artifacts: ArtifactStore,
    *,
    left_out: tuple[int, ...],
    device: Device,
) -> _Fed:
    check_hooks(dictionary, model)
    encoder = Encoder(dictionary, left_out=left_out, device=device)
    tally = new_tally(dictionary, rows.shape[1], device)
    store = open_store(dictionary, model, rows, artifacts, left_out=left_out, device=device)
    return _Fed(dictionary, store, encoder, encoder.places(model), tally)


def _feed(fed: list[_Fed], rows: Int[np.ndarray, "row pos"], device: Device, progress: Progress) -> None:
    """Give each dictionary every block of the rows, from the store or from one run of the model."""
    parts = fed[0].store.parts if fed else []
    with ThreadPoolExecutor(1) as adding:
        for i, part in enumerate(parts):
            told = Stage(progress, rows[: part.start].size, rows.size)
            going = [one for one in fed if not one.failed]
            blocks = [one.store.load(i) for one in going]
            wanting = [one for one, block in zip(going, blocks, strict=True) if block is None]
            seen = _read(wanting, rows[part], device, told)
            added = []
            for one, stored in zip(going, blocks, strict=True):
                block = stored or _encoded(one, i, rows[part], seen, told)
                if block is not None:
                    added.append(adding.submit(one.tally.add, block))  # while the next one is encoded
            for each in added:
                each.result()
            told.update(rows[part].size, rows[part].size)


def _read(wanting: Sequence[_Fed], rows: np.ndarray, device: Device, progress: Progress) -> dict:
    places = list(dict.fromkeys(place for one in wanting for place in one.places))
    return dict(zip(places, read_places(places, rows, device=device, progress=progress), strict=True)) if places else {}


def _encoded(one: _Fed, i: int, rows: np.ndarray, seen: dict, progress: Progress) -> ActivationBlock | None:
    """Encode and store a block; None for a dictionary that fails, which then says why."""
    try:
        block = one.encoder.encoded(rows, [seen[place] for place in one.places], Stops(progress, rows.size))
        one.store.save(i, block)
    except CancelledError:
        raise
    except LoupeError as error:
        one.failed = error
        return None
    finally:
        one.encoder.let_go()  # the next dictionary needs the room
    return block
