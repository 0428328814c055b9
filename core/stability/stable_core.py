"""The stable core: the features that return, as a dictionary of their own in sae-lens' format."""

import io
import zipfile
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.activations.reconstruction import error_by_position
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.stability.returning import Stability
from core.work.progress import SILENT, Part, Progress
from core.work.temporary import temporary_folder


def stable_core(dictionary: Dictionary, found: Stability, *, times: int) -> Dictionary:
    """Return the features that return in so many others or more. Raises what `Dictionary.part` raises."""
    features = found.at_least(times)
    return dictionary.part(features, title=f"{dictionary.title}, stable core of {len(features):,}")


def core_table(
    dictionaries: Sequence[Dictionary],
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """One row per dictionary: dictionary (its title), core_features, fve and l0 on rows of text.

    Raises what `error_by_position` raises.
    """
    lines = []
    for done, one in enumerate(dictionaries):
        error = error_by_position(one, model, rows, progress=Part(progress, done, len(dictionaries)))
        totals = error.totals().iloc[0]
        lines.append((one.title, one.d_sae, float(totals["fve"]), float(totals["l0"])))
    return pd.DataFrame(lines, columns=["dictionary", "core_features", "fve", "l0"])


def zipped(dictionary: Dictionary, name: str) -> bytes:
    """Return a folder in sae-lens' format as a zip file, in which the folder has this name."""
    target = io.BytesIO()
    with temporary_folder(None) as folder, zipfile.ZipFile(target, "w") as file:
        dictionary.save(folder / "sae")
        for path in sorted((folder / "sae").iterdir()):
            file.writestr(zipfile.ZipInfo(f"{name}/{path.name}"), path.read_bytes())
    return target.getvalue()
