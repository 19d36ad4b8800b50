"""What `doctor` says of one thing it looked at, and the group it belongs to."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is the command or setting that changes it, empty where nothing need be."""

    status: Literal["OK", "–", "warning", "failure"]
    what: str
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Group:
    """Lines that are read together."""

    title: str
    lines: tuple[Finding, ...]


def fine(what: str, found: str) -> Finding:
    """Nothing need be done."""
    return Finding("OK", what, found)


def absent(what: str, found: str) -> Finding:
    """It is not there, and need not be."""
    return Finding("–", what, found)


def warning(what: str, found: str, mend: str) -> Finding:
    """It works, or is not used; somebody may want it otherwise."""
    return Finding("warning", what, found, mend)


def failure(what: str, found: str, mend: str) -> Finding:
    """Something that is wanted cannot work."""
    return Finding("failure", what, found, mend)
