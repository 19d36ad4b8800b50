"""What `doctor` says of one thing it looked at, and the group it belongs to."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; `mend` is the command or setting that changes it, empty where nothing need be."""

    status: Literal["OK", "–", "warning", "failure"]
    what: str
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Group:
    """Lines that are read together."""

    title: str
    lines: tuple[Line, ...]


def fine(what: str, found: str) -> Line:
    """Nothing need be done."""
    return Line("OK", what, found)


def absent(what: str, found: str) -> Line:
    """It is not there, and need not be."""
    return Line("–", what, found)


def warning(what: str, found: str, mend: str) -> Line:
    """It works, or is not used; somebody may want it otherwise."""
    return Line("warning", what, found, mend)


def failure(what: str, found: str, mend: str) -> Line:
    """Something that is wanted cannot work."""
    return Line("failure", what, found, mend)
