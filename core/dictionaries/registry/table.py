"""Search results of the registry as a table."""

from collections.abc import Sequence

import pandas as pd

from core.dictionaries.registry import loaders
from core.dictionaries.registry.index import RegistryItem
from core.errors import BadDictionaryError
from core.hub import cache

COLUMNS = ("release", "sae_id", "of_model", "hook_kind", "width_text", "expected_l0", "expected_fve", "downloaded")


def registry_table(items: Sequence[RegistryItem]) -> pd.DataFrame:
    """Return one row per item with the columns of core/catalogue/registry.toml; unknown numbers are NaN.

    It looks into the download cache once for each repository, and only for repositories that it holds.
    """
    here = cache.downloaded_repositories()
    files = {name: cache.downloaded_files(name) for name in here & {item.repository for item in items}}
    rows = [
        (
            item.release,
            item.sae_id,
            item.model,
            item.hook_kind,
            item.width,
            item.l0,
            item.variance_explained,
            _has_all(item, files.get(item.repository, frozenset())),
        )
        for item in items
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"expected_l0": float, "expected_fve": float, "downloaded": bool})


def _has_all(item: RegistryItem, files: frozenset[str]) -> bool:
    try:
        needed, _ = loaders.wanted_files(item)
    except BadDictionaryError:
        return False
    return bool(files) and set(needed) <= files
