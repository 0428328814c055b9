"""Print every number of a feature, or of a dictionary: value, formula, n, where it is from, the page that shows it."""

import argparse
from collections.abc import Sequence

from sae_loupe import front, printing


def main(arguments: Sequence[str]) -> int:
    """Run `sae-loupe report DICTIONARY [--feature N] [--json]`."""
    made = printing.with_numbers(printing.parser("report", __doc__))
    made.add_argument("--feature", type=int, help="number of the feature, from 0; without it, the whole dictionary")
    options = made.parse_args(arguments)
    return printing.run(lambda: _said(options))


def _said(options: argparse.Namespace) -> str:
    sae = front.open(options.dictionary, model=options.model, device=options.device, cache=options.cache)
    if options.feature is None:
        found = sae.summary(options.text)
    else:
        found = sae.feature(options.feature, options.text, groups=options.group)
    table = found.to_frame(server=options.server)
    if not options.json:
        missing = [f"{title}: {why}" for title, why in found.missing.items()]
        return "\n".join([table[["column", "value", "unit", "n", "group"]].to_string(index=False), *missing])
    content = {"numbers": table, "missing": found.missing}
    if options.feature is not None:
        content |= {"feature": options.feature, "lists": found.lists}
    return printing.to_json(printing.head(sae) | content | {"provenance": printing.sources(found.groups)})
