"""Match two dictionaries by their weights, and write the pairs or the whole matching."""

from collections.abc import Sequence

from core.matching import __main__ as matching


def main(arguments: Sequence[str]) -> int:
    """Run `sae-loupe match A B -o FILE`; see core.matching.__main__."""
    return matching.main(arguments, prog="sae-loupe match")
