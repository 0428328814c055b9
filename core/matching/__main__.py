"""Match two dictionaries from the command line:   python -m core.matching A B -o match.json"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.errors import BadSettingError, LoupeError
from core.installation import importable
from core.matching.comparison import K, compare, differences
from core.matching.file import match_file, to_json
from core.matching.null import SEED
from core.matching.numbers import null_numbers, numbers_and_doubts
from core.matching.pairs import SIMILARITIES, THRESHOLD, match
from core.matching.proof import METHODS
from core.matching.tables import pair_table
from core.notebook import load_dictionary
from core.work.temporary import temporary_folder

ENDINGS = (".json", ".csv", ".parquet")


class Bar:
    """Progress as a bar on a terminal's standard error; elsewhere one line per stage."""

    def __init__(self):
        self._text, self._bar = "", None

    def note(self, text: str) -> None:
        """Begin a stage."""
        self.close()
        self._text = text
        if not sys.stderr.isatty():
            print(text, file=sys.stderr)

    def update(self, done: int, total: int) -> None:
        """Draw the progress of the stage."""
        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._text, disable=None)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the line drawn so far."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def main(arguments: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Run, and return the exit code: 0, 2 after an error that a person can fix, 130 if interrupted."""
    options = _parser(prog).parse_args(arguments)
    bar = Bar()
    try:
        _run(options, bar)
    except (LoupeError, OSError) as error:
        bar.close()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        bar.close()
        print("Stopped; nothing was written.", file=sys.stderr)
        return 130
    return 0


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog or f"python -m {importable('core.matching')}",
        description="Match two dictionaries (sparse autoencoders, SAEs) by their weights.",
    )
    parser.add_argument("a", metavar="A", help="id of a dictionary, such as demo/layer2-standard-2048, or its path")
    parser.add_argument("b", metavar="B", help="id or path of the second dictionary")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="file to write: .json for the whole matching, .csv or .parquet for its pairs",
    )
    parser.add_argument(
        "--similarity", choices=SIMILARITIES, default="decoder", help="what is compared (default: %(default)s)"
    )
    parser.add_argument(
        "--method", choices=list(METHODS), default="one-to-one", help="how features are paired (default: %(default)s)"
    )
    parser.add_argument(
        "-k", type=int, default=K, help="candidates for each feature at the start (default: %(default)s)"
    )
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help="similarity that a match must exceed (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="seed of the shuffled coordinates (default: %(default)s)"
    )
    return parser


def _run(options: argparse.Namespace, bar: Bar) -> None:
    _check(options)
    a, b = load_dictionary(options.a), load_dictionary(options.b)
    comparison = compare(a, b, k=options.k, progress=bar)
    for warning in differences(a, b):
        bar.close()
        print(f"Warning: {warning}", file=sys.stderr)
    settings = {"threshold": options.threshold}
    how = {"similarity": options.similarity, "method": options.method}
    matching = match(comparison, **how, progress=bar)
    if options.output.suffix == ".json":
        how = {"threshold": options.threshold, "progress": bar}
        stats, not_proven = numbers_and_doubts(comparison, options.similarity, **how)
        null_settings = {"k": options.k, "threshold": options.threshold, "seed": options.seed}
        null = null_numbers(comparison, options.similarity, **null_settings, progress=bar)
        settings |= {"shuffle_seed": options.seed}
        known = {"settings": settings, "stats": stats, "null": null, "not_proven": not_proven}
        _write(options.output, to_json(match_file(a, b, matching, **known)))
        numbers = [
            f"{name} {value:.3f}" + (f" ({not_proven[name]})" if name in not_proven else "")
            for name, value in stats.items()
            if value is not None
        ]
    else:
        _write(options.output, _table(options.output.suffix, a, b, matching, how))
        numbers = []
    bar.close()
    pairs = f"{len(matching.a):,} pairs of {a.d_sae:,} and {b.d_sae:,} features"
    print(" · ".join([pairs, matching.proof, *numbers, f"written to {options.output}"]))


def _check(options: argparse.Namespace) -> None:
    """Raise BadSettingError at once for options that would otherwise fail after minutes of work."""
    if options.output.suffix not in ENDINGS:
        raise BadSettingError(f"{options.output.name!r} ends in none of {', '.join(ENDINGS)}. Choose one of these.")
    if not options.output.resolve().parent.is_dir():
        raise BadSettingError(f"There is no folder {options.output.parent}. Expected one to write to; make it first.")
    if not -1 <= options.threshold <= 1:
        raise BadSettingError(f"The threshold is {options.threshold}; expected a cosine, −1 to 1, such as {THRESHOLD}.")
    if options.seed < 0:
        raise BadSettingError(f"The seed is {options.seed}; expected 0 or more.")


def _table(suffix: str, a: Dictionary, b: Dictionary, matching, how: dict[str, str]) -> bytes:
    table = pair_table(matching)
    if suffix == ".csv":
        return tables.to_csv(table)
    settings = how | {"k": matching.k, **matching.said_proof}
    source = tables.provenance(dictionary=[a, b], method="matching by weights", settings=settings)
    return tables.to_parquet(table, source)


def _write(path: Path, content: bytes) -> None:
    """Write to a temporary file and rename it, so that an older file stays until the new one is complete."""
    with temporary_folder(path.resolve().parent) as folder:
        new = folder / "new"
        new.write_bytes(content)
        os.replace(new, path)


if __name__ == "__main__":
    raise SystemExit(main())
