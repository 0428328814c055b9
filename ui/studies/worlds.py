"""Where the known world meets Streamlit: the picked dictionary, its truth, and what the pages' results say of it."""

from core import tables
from core.dictionaries.sources import world as source
from core.dictionaries.world import SEED
from core.work.progress import Progress
from core.worlds.sampled import N_INPUTS, Sampled, sampled
from core.worlds.study import WorldStudy, check_known
from ui.studies import compute, geometry, opened, splitting

NARROW, WIDE = (f"{source.NAME}/{name}" for name in ("narrow", "wide"))


def study() -> WorldStudy:
    """Return the picked dictionary beside its truth. Raises DoesNotFitError for one whose truth nobody knows."""
    dictionary = opened.dictionary()
    check_known(dictionary, [NARROW, WIDE])

    def work(progress: Progress) -> Sampled:
        return sampled(dictionary, progress=progress)

    key = f"world sample {dictionary.sha256} {N_INPUTS} {SEED}"
    found = compute.transient(key, f"Inputs of the known world in {dictionary.title}", work)
    narrow_wide = splitting.between(opened.dictionary(NARROW), dictionary) if dictionary.id == WIDE else None
    return WorldStudy(dictionary, geometry.neighbors(), found, narrow_wide)


def provenance(study: WorldStudy) -> dict:
    """Return what figures of the page were computed from."""
    method, settings = "the pages' rules beside the truth", {"inputs": N_INPUTS, "seed": SEED}
    return tables.provenance(dictionary=[study.dictionary], method=method, settings=settings)


def note(*more: str) -> str:
    """Return what a figure was computed from."""
    return " · ".join(["sae-lens' synthetic world", f"{N_INPUTS:,} inputs, seed {SEED}", *more])
