"""Statistics that no oracle holds: those still to do, in a list that only shrinks, and names that are no numbers."""

from pathlib import Path

WITHOUT = set(Path(__file__).with_name("without.txt").read_text(encoding="utf-8").split())
"""Statistics without an oracle, a planted truth or a held column."""

BY_BORDER: dict[str, str] = {
    "dictionary": "a name: the id of a row's dictionary",
    "p_value": "shown as log10_p, whose oracle takes its logarithm",
    "q_value": "shown as log10_q, whose oracle takes its logarithm",
    "in_set": "yes or no: tests/token_sets holds the members of every set",
    "token_label": "a text: tests/models/test_tokens.py",
}
"""Names, labels and verdicts: why they are no number, or where their borders are tested."""
