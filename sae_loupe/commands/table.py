"""Print or write every number of every feature of a dictionary, one row each."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from core import tables
from core.errors import BadSettingError
from sae_loupe import front, printing

ENDINGS = (".csv", ".parquet")


def main(arguments: Sequence[str]) -> int:
    """Run `sae-loupe table DICTIONARY [--json] [-o FILE]`."""
    made = printing.with_numbers(printing.parser("table", __doc__))
    made.add_argument("-o", "--output", type=Path, help="file to write: .csv or .parquet")
    options = made.parse_args(arguments)
    return printing.run(lambda: _said(options))


def _said(options: argparse.Namespace) -> str:
    target = options.output
    if target is not None and target.suffix not in ENDINGS:
        raise BadSettingError(f"{target.name!r} ends in none of {', '.join(ENDINGS)}. Choose one of these.")
    sae = front.open(options.dictionary, model=options.model, device=options.device, cache=options.cache)
    found = sae.table(options.text, groups=options.group)
    table = found.to_frame()
    if target is not None:
        parquet = target.suffix == ".parquet"
        target.write_bytes(tables.to_parquet(table, found.provenance) if parquet else tables.to_csv(table))
    if not options.json:
        return f"{len(table):,} features, written to {target}" if target else table.to_csv(index=False).rstrip("\n")
    content = {"columns": found.columns(server=options.server), "features": {name: table[name] for name in table}}
    content["features"] = {name: column.astype(object).tolist() for name, column in content["features"].items()}
    whole = printing.head(sae) | content | {"missing": found.missing}
    return printing.to_json(whole | {"provenance": printing.sources(found.groups)})
