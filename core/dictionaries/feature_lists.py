"""Lists of features as people write them, such as "12, 45-60"."""

import re
from collections.abc import Sequence

from core.errors import LoupeError, OutOfRangeError

_PART = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_DIGITS = 12
"""More than any feature has; Python turns no text of thousands of digits into a number."""
_DASH = re.compile(r" ?[-\u2010-\u2013] ?")  # an en dash comes with text copied from elsewhere
_BETWEEN = re.compile(r"[\s,;]+")


class FeatureListError(LoupeError):
    """The text that a person typed is no list of features."""


def split_features(text: str) -> list[tuple[str, str]]:
    """Read numbers and ranges; return the digits of the first and last feature of each, in the order written.

    Commas, semicolons and white space separate them. Brackets around the whole list are ignored; empty text gives an
    empty list. Raises FeatureListError.
    """
    ranges = []
    for part in filter(None, _BETWEEN.split(_DASH.sub("-", " ".join(text.strip().strip("[]()").split())))):
        match = _PART.fullmatch(part)
        if match is None:
            raise _no_feature(part)
        first, last = (digits.lstrip("0") or "0" for digits in (match[1], match[2] or match[1]))
        if (len(last), last) < (len(first), first):
            raise FeatureListError(f"The range {part} runs backwards. Expected the smaller end first: {last}-{first}.")
        ranges.append((first, last))
    return ranges


def _no_feature(part: str) -> FeatureListError:
    return FeatureListError(
        f"{part[:50]!r} is no feature. Expected numbers and ranges such as 12, 45-60; correct it or leave it out."
    )


def feature_ranges(text: str, d_sae: int) -> list[tuple[int, int]]:
    """Return the first and last feature of each number or range, in the order written; see `split_features`.

    Raises FeatureListError, or OutOfRangeError for a feature that is not below d_sae.
    """
    ranges = split_features(text)
    for digits in (digits for ends in ranges for digits in ends):
        if len(digits) > _DIGITS:
            raise _no_feature(digits)
        if int(digits) >= d_sae:
            raise OutOfRangeError("Feature", int(digits), d_sae)
    return [(int(first), int(last)) for first, last in ranges]


def parse_features(text: str, d_sae: int) -> list[int]:
    """Return each feature of a list once, in the order written, both ends of a range included; see `feature_ranges`."""
    return list(dict.fromkeys(i for first, last in feature_ranges(text, d_sae) for i in range(first, last + 1)))


def format_features(features: Sequence[int]) -> str:
    """Write a list that `parse_features` can read: consecutive features become a range."""
    runs: list[list[int]] = []
    for feature in map(int, features):
        if runs and feature == runs[-1][1] + 1:
            runs[-1][1] = feature
        else:
            runs.append([feature, feature])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def parse_explanations(text: str, features: Sequence[int], *, longest: int) -> dict[int, tuple[str, ...]]:
    """Read explanations of features, one a line, such as "12: months of the year"; a feature may have several lines.

    Lines without text are ignored. Raises FeatureListError for a line that begins with no feature, names one that is
    not in `features`, or has more than `longest` characters.
    """
    chosen, explanations = set(features), {}
    for number, line in enumerate(text.splitlines(), 1):
        head, colon, words = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not (colon and re.fullmatch(r"[0-9]{1,12}", head)):
            raise FeatureListError(
                f"Line {number} of the explanations, {line[:50]!r}, does not begin with a feature. Expected a line "
                "such as 12: months of the year."
            )
        if int(head) not in chosen:
            raise FeatureListError(
                f"Line {number} explains feature {head}, which is not among those chosen. Expected one of "
                f"{format_features(features)[:100]}; choose it as well, or take the line out."
            )
        if len(words) > longest:
            raise FeatureListError(
                f"The explanation of feature {head} has {len(words):,} characters, expected at most {longest}. "
                "Shorten it."
            )
        if words:
            explanations[int(head)] = (*explanations.get(int(head), ()), words)
    return explanations
