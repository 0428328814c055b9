"""Numbers of the picked feature computed anew by the slow way, as a job."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.audit.recompute import needs_model, slow_values
from core.work.artifacts import artifact_key
from core.work.progress import Progress
from ui.studies import compute, opened


def recompute(provenance: Mapping[str, Any], columns: Sequence[str], feature: int) -> dict[str, float]:
    """Return columns of one feature by their oracles. Draws progress and raises StillRunning; raises LoupeError."""
    said = provenance["dictionaries"][0]
    dictionary = opened.dictionary(said["id"])
    model = opened.model_of(dictionary) if needs_model(provenance) else None

    def work(progress: Progress) -> dict[str, float]:
        return slow_values(provenance, columns, feature, dictionary, model, progress=progress)

    settings = {str(name): str(value) for name, value in provenance["settings"].items()}
    names = {"columns": " ".join(columns), "feature": feature, "method": provenance["method"]}
    of_model = model.sha256 if model else None
    key = artifact_key("audit", 1, dictionary_sha256=said["sha256"], model_sha256=of_model, **names | settings)
    return compute.transient(key, f"Feature {feature} the slow way", work)
