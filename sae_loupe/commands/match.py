"""Match two dictionaries by their weights: print what they share as JSON, or write the pairs or the whole matching."""

import argparse
from collections.abc import Sequence

from core.matching import __main__ as matching
from sae_loupe import front, printing
from sae_loupe.numbers import SERVER, address, declared


def main(arguments: Sequence[str]) -> int:
    """Run `sae-loupe match A B --json`, or `sae-loupe match A B -o FILE` (see core.matching.__main__)."""
    if "--json" not in arguments:
        return matching.main(arguments, prog="sae-loupe match")
    made = printing.parser("match", __doc__)
    made.add_argument("a", metavar="A", help="id of a dictionary, such as demo/layer2-standard-2048, or its path")
    made.add_argument("b", metavar="B", help="id or path of the second dictionary")
    made.add_argument("--similarity", default="decoder", help="decoder, encoder or both (default: %(default)s)")
    made.add_argument("--method", default="one-to-one", help="one-to-one, greedy or mutual (default: %(default)s)")
    made.add_argument("--threshold", type=float, default=0.7, help="cosine of a match (default: %(default)s)")
    made.add_argument("--server", default=SERVER, help="address of the app, for the URL (default: %(default)s)")
    options = made.parse_args(arguments)
    return printing.run(lambda: _said(options))


def _said(options: argparse.Namespace) -> str:
    how = {"model": options.model, "device": options.device, "cache": options.cache}
    a, b = (front.open(source, **how) for source in (options.a, options.b))
    chosen = {"similarity": options.similarity, "method": options.method, "threshold": options.threshold}
    found = front.match(a, b, **chosen)
    numbers = found.numbers()
    formulas = [declared(name) for name in numbers["statistic"]]
    numbers = numbers.assign(title=[f[1] for f in formulas], unit=[f[2] for f in formulas])
    numbers = numbers.assign(formula=[f[3] for f in formulas], n=found.comparison.smaller, of="features")
    content = {"numbers": numbers, "pairs": found.to_frame(), "warnings": found.warnings, "proof": found.stats.proof}
    content |= {f"unmatched_{end}": getattr(found.stats, f"unmatched_{end}") for end in "ab"}
    content |= {"url": address(a, "matching", server=options.server, b=b.dictionary.id), "provenance": found.provenance}
    return printing.to_json(printing.head(a, b) | content)
