"""Tables as files: CSV for people and spreadsheets, Parquet for programs. Parquet files hold their provenance.

The same table gives the same bytes: nothing written here depends on the time or the machine.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence

import pandas as pd

from core.catalogue import ALIASES, STATISTICS
from core.characters import whole, whole_table
from core.dictionaries.dictionary import Dictionary
from core.installation import APP_VERSION
from core.models.language_model import LanguageModel

PROVENANCE_KEY = b"sae_loupe"
"""The key in Parquet's file metadata that holds the provenance, as JSON."""
_FORMULA = r"^('*[=+\-@\t\r])"


def to_csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8, all text in quotes, so that commas and line breaks in tokens survive.

    A text cell or title that begins with = + - @, a tab or a carriage return gets an apostrophe in front:
    a spreadsheet would take the text for a formula, and tokens come from unchecked files. A text that begins with
    apostrophes and then such a sign gets one more, so removing one apostrophe always gives the text back. Numbers
    do not change. Read the file with pandas' `keep_default_na=False`, because tokens such as NA are text. A
    missing value and an empty text look the same. Parquet keeps everything as it is.
    """
    table = whole_table(table)
    safe = table.rename(columns=lambda name: guard(pd.Series([str(name)], dtype=object))[0])
    text = [i for i, dtype in enumerate(safe.dtypes) if is_text(dtype)]
    guarded = {safe.columns[i]: guard(safe.iloc[:, i].astype(object)) for i in text}
    # QUOTE_MINIMAL leaves a carriage return bare, and readers end the row there.
    csv_text = safe.assign(**guarded).to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    return csv_text.encode("utf-8")


def is_text(dtype) -> bool:
    """Whether a column may hold text: strings, mixed objects, and categories."""
    is_category = isinstance(dtype, pd.CategoricalDtype)
    return is_category or pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype)


def guard(cells: pd.Series) -> pd.Series:
    """Put an apostrophe before texts that a spreadsheet would compute; other values do not change."""
    texts = cells.map(lambda cell: isinstance(cell, str)).to_numpy(dtype=bool)
    return cells.where(~texts, cells.astype(str).str.replace(_FORMULA, r"'\1", regex=True))


def to_parquet(table: pd.DataFrame, provenance: Mapping[str, object]) -> bytes:
    """Return a table as Parquet. The file metadata hold `provenance` and the columns' definitions as JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(whole_table(table), preserve_index=False)
    note = whole(json.dumps(dict(provenance) | {"columns": definitions(table)}, sort_keys=True, ensure_ascii=False))
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), PROVENANCE_KEY: note.encode("utf-8")})
    target = io.BytesIO()
    pq.write_table(arrow, target)
    return target.getvalue()


def side_file(table: pd.DataFrame, *, title: str, note: str, provenance: Mapping[str, object]) -> bytes:
    """Return JSON that says what a table shows and where it comes from, to lie beside its CSV."""
    said = {"title": title, "note": note, "rows": len(table), "columns": definitions(table), **provenance}
    return whole(json.dumps(said, indent=1, ensure_ascii=False)).encode("utf-8")


def definitions(table: pd.DataFrame) -> dict[str, str]:
    """Return title, unit and formula of the columns that are declared statistics."""
    known = {name: STATISTICS.get(ALIASES.get(name, name)) for name in map(str, table.columns)}
    return {name: f"{item.title} [{item.unit}]: {item.formula}" for name, item in known.items() if item}


def provenance(
    *,
    dictionary: Dictionary | Sequence[Dictionary],
    method: str,
    settings: Mapping[str, str | int | float | bool | None],
    model: LanguageModel | None = None,
) -> dict[str, object]:
    """Say what a table was computed from, by content: app version, hashes, method and settings.

    It holds no date, so that the same inputs give the same file.
    """
    dictionaries = [dictionary] if isinstance(dictionary, Dictionary) else list(dictionary)
    return {
        "app": f"SAE Loupe {APP_VERSION}",
        "dictionaries": [
            {"id": d.id, "sha256": d.sha256, "decoder_norms_folded": d.folded, "hook_name": d.config.hook_name}
            for d in dictionaries
        ],
        "model": {"name": model.name, "sha256": model.sha256} if model else None,
        "method": method,
        "settings": dict(settings),
    }


def with_settings(provenance: Mapping[str, object], **more: object) -> dict[str, object]:
    """Return a provenance with more settings."""
    settings = provenance["settings"]
    assert isinstance(settings, Mapping)
    return {**provenance, "settings": {**settings, **more}}
