"""Where a dictionary comes from, and what is known of it besides its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Origin:
    """What a source says of a dictionary. Nothing here changes what it computes, or its content hash."""

    labels: Mapping[str, str | int] = field(default_factory=dict)
    """What tells it from its siblings (width, seed, release, revision, ...)."""
    published: Mapping[str, float] = field(default_factory=dict)
    """What the source says of it (l0, fve, dead_share, ...); absent is absent."""
    notes: tuple[str, ...] = ()
    """Warnings about this dictionary that every page shows."""
    format: str = ""
    """The format its files were read in; empty where no local format was."""
    inferred: tuple[str, ...] = ()
    """What its files do not say and was concluded, one phrase each."""


UNKNOWN = Origin()
"""That of a dictionary made in memory."""
