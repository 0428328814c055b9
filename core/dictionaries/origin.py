"""Where a dictionary comes from, and what its source says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Choice:
    """A setting behind a path that says what of a dictionary's files is looked at."""

    name: str
    title: str
    values: Mapping[str, str]
    """What each value means, in a few words; the empty value leaves the setting out."""
    chosen: str
    meaning: str = ""


@dataclass(frozen=True)
class Origin:
    """What a source says of a dictionary. Nothing here changes what it computes, or its content hash."""

    labels: Mapping[str, str | int] = field(default_factory=dict)
    """Labels that distinguish it from similar dictionaries (width, seed, release, revision, ...)."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Numbers that the source publishes (l0, fve, dead_share, ...); it may lack any of them."""
    notes: tuple[str, ...] = ()
    """Warnings about this dictionary that every page shows."""
    format: str = ""
    """The format of its files; empty if they were not read by a local format."""
    stated: tuple[str, ...] = ()
    """The files' own words and how they were understood, one phrase each."""
    inferred: tuple[str, ...] = ()
    """Facts that the files do not say: inferred, or set by hand, one phrase each."""

    choices: tuple[Choice, ...] = ()
    """What else of the same files can be looked at."""


UNKNOWN = Origin()
"""The origin of a dictionary made in memory."""
