"""Half characters: single surrogates. JSON, file names and Python can hold them; UTF-8, tables and screens cannot."""

import re
from typing import Any

import pandas as pd

_HALF = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Put U+FFFD for every half character; two halves that belong together become their character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(text) else text


def whole_value(value: Any) -> Any:
    """Do as `whole` for every text inside lists, tuples and dicts; return other values as they are."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole_value(name): whole_value(inner) for name, inner in value.items()}
    return type(value)(map(whole_value, value)) if type(value) in (list, tuple) else value


def whole_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with `whole` titles and cells. Columns of numbers are neither read nor copied.

    Only `object` columns are looked at: pandas refuses half characters in its own texts and categories.
    """
    mixed = [i for i, dtype in enumerate(table.dtypes) if pd.api.types.is_object_dtype(dtype)]
    found = {i: cells for i in mixed if (cells := _whole_cells(table.iloc[:, i])) is not None}
    if found:
        parts = [found.get(i, table.iloc[:, i]) for i in range(table.shape[1])]
        table = pd.concat(parts, axis=1).set_axis(table.columns, axis=1)
    titles = [whole_value(title) for title in table.columns]
    return table if titles == list(table.columns) else table.set_axis(titles, axis=1)


def _whole_cells(cells: pd.Series) -> pd.Series | None:
    """Return the cells mended, None if all are whole."""
    mended = [whole_value(cell) for cell in cells]
    if all(new is old or repr(new) == repr(old) for new, old in zip(mended, cells, strict=True)):
        return None
    return pd.Series(mended, index=cells.index, dtype=object, name=cells.name)
