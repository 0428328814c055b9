"""What figures and downloads say of a sweep."""

from core.installation import APP_VERSION
from core.sweeps.sweep import Sweep


def note(sweep: Sweep, *more: str) -> str:
    """Return a line that names what a figure was made of."""
    device = [sweep.plan.card] if sweep.plan.card else []
    return " · ".join([sweep.plan.name, *more, *device])


def provenance(sweep: Sweep) -> dict:
    """Return what a download says: the plan, and its dictionaries by content."""
    dictionaries = [{"id": one.id, "sha256": one.sha256} for one in sweep.plan.dictionaries if one.sha256]
    settings = {"plan": sweep.plan.name, "device": sweep.plan.device}
    return {
        "app": f"SAE Loupe {APP_VERSION}",
        "dictionaries": dictionaries,
        "model": None,
        "method": "results of a sweep",
        "settings": settings,
    }
