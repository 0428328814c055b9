"""Proxies: properties of text that its characters show, to compare features with (Bricken et al. 2023).

There are encodings by their alphabet, scripts by Unicode block, and the user's own regular expressions.
core.proxies.values defines the value of a proxy at each token.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.errors import BadSettingError
from core.work.patterns import check_pattern

MAX_PATTERN = 200
ALPHABET, SCRIPT, PATTERN = "alphabet", "script", "pattern"


@dataclass(frozen=True)
class Proxy:
    """One property that a text may have."""

    name: str
    title: str
    kind: str
    """ALPHABET, SCRIPT or PATTERN."""
    source: str
    alphabets: tuple[str, ...] = ()
    least_tokens: int = 1
    """Length in tokens of the shortest string that counts."""
    blocks: tuple[tuple[str, int, int], ...] = ()
    """Name, first and last code point of each block."""
    pattern: str = ""
    across: bool = False
    """True: the pattern is searched in the text, across tokens; False: in each token alone."""

    @property
    def is_ratio(self) -> bool:
        """Whether values are log-likelihood ratios, in nats; otherwise they are 0 and 1."""
        return self.kind != PATTERN

    @property
    def rule(self) -> str:
        """The definition in one line."""
        if self.kind == ALPHABET:
            sets = " or ".join(_ranges(alphabet) for alphabet in self.alphabets)
            return f"{sets}{f', {self.least_tokens} tokens or more' if self.least_tokens > 1 else ''}"
        if self.kind == SCRIPT:
            return ", ".join(f"{name} U+{first:04X} to U+{last:04X}" for name, first, last in self.blocks)
        return f"/{self.pattern}/ in {'the text, any token that a match touches' if self.across else 'each token'}"


@cache
def proxies() -> dict[str, Proxy]:
    """Return the alphabets and scripts of proxies.toml, by name."""
    data = tomllib.loads((Path(__file__).parent / "proxies.toml").read_text(encoding="utf-8"))
    by_name = {}
    for name, entry in data[ALPHABET].items():
        by_name[name] = Proxy(name, kind=ALPHABET, **(entry | {"alphabets": tuple(entry["alphabets"])}))
    for name, entry in data[SCRIPT].items():
        blocks, source = tuple(map(tuple, entry["blocks"])), "after Bricken et al. 2023; blocks of the Unicode standard"
        by_name[name] = Proxy(name, entry["title"], SCRIPT, source, blocks=blocks)
    return by_name


def pattern_proxy(pattern: str, *, across: bool = False) -> Proxy:
    """Make a proxy of a regular expression. Raises BadSettingError if it is empty, too long or does not compile."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise BadSettingError(
            f"The pattern has {len(pattern):,} characters, expected 1 to {MAX_PATTERN}. "
            f"{'Shorten it.' if pattern else 'Type a regular expression.'}"
        )
    check_pattern(pattern)
    return Proxy("pattern", f"/{pattern}/", PATTERN, "ours", pattern=pattern, across=across)


def _ranges(alphabet: str) -> str:
    """Write an alphabet as ranges, such as A-Za-z."""
    runs: list[str] = []
    for character in alphabet:
        if runs and ord(character) == ord(runs[-1][-1]) + 1:
            runs[-1] = runs[-1][0] + character if len(runs[-1]) == 1 else runs[-1][:-1] + character
        else:
            runs.append(character)
    return f"[{''.join('-'.join(run) if len(run) == 2 else run for run in runs)}]"
