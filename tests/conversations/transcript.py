"""A conversation in writing, the same on every run: what changes from run to run is given a name that does not."""

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

WIDTH, MARGIN = 118, 8
JOB = re.compile(r"job_[A-Za-z0-9]{20}")
SET = re.compile(r"set_[A-Za-z0-9]{20}")
TAKE = re.compile(r"((?:[Tt]akes? |set_\w+/|takes? \d(?:, \d)* and ))(\d)\b")
TAKES = re.compile(r"(?:^take \d .*\n)+", re.MULTILINE)
CURSOR = re.compile(r"am9iX[A-Za-z0-9_-]+={0,2}")
FILM = re.compile(r"http://127\.0\.0\.1:\d+/media/\d+\.mp4")
ELSEWHERE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
IN_LINE = re.compile(r"It is next in line at \w+\. ")
"""Told as soon as the provider was asked once, which may be before the answer or after it."""
BEGUN_HERE = re.compile(r"\b(?:queued|submitting)(?= at local \(join\), 0\.00 USD\.(?![\s\S]*It begins when))")
"""A busy machine has not begun to join when the call is answered."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SIZE = re.compile(r"\d+ bytes")
"""A film's differs with the library that writes it."""
PASSED = re.compile(r"\d+:\d\d(?=\))")
"""How long a job has been under way, at the end of what is said of its stage."""


@dataclass
class Transcript:
    """Who, and what; `home` is where this run keeps its films."""

    home: Path
    _lines: list[tuple[str, str]] = field(default_factory=list)
    _takes: dict[str, str] = field(default_factory=dict)

    def add(self, who: str, what: str) -> None:
        """One more thing that was said or done."""
        self._lines.append((who, what))

    def swap_takes(self, one: int, other: int) -> None:
        """Which of several takes something happens to differs from run to run: here it is always the same."""
        self._takes = {str(one): str(other), str(other): str(one)}

    def _with_takes(self, text: str) -> str:
        text = TAKE.sub(lambda found: found[1] + self._takes.get(found[2], found[2]), text)
        return TAKES.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text)

    def text(self) -> str:
        """All of it, wrapped."""
        named = _Names()
        lines = []
        for who, what in self._lines:
            here = self._with_takes(what).replace(str(self.home), "/home/you/ltx-mcp")
            for line in named.steady(here.replace(str(self.home.parent.resolve()), "/home/you/pictures")).splitlines():
                lines += textwrap.wrap(
                    line,
                    WIDTH,
                    initial_indent=who.ljust(MARGIN),
                    subsequent_indent=" " * (MARGIN + 2 * (who == "call")),
                    break_long_words=False,
                    break_on_hyphens=False,
                )
                who = ""
        return "\n".join(lines)


class _Names:
    """Stand-ins, numbered by when they are met first."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, str]] = {}

    def steady(self, text: str) -> str:
        """`text` with a name for everything that is different each time."""
        text = SET.sub(self._namer("set_{}"), JOB.sub(self._namer("job_{}"), text))
        text = CURSOR.sub(self._namer("cursor-{}"), text)
        text = FILM.sub(self._namer("https://provider.example/film-{}.mp4"), text)
        text = ELSEWHERE.sub(self._namer("order-{}"), text)
        text = BEGUN_HERE.sub("running", IN_LINE.sub("", text))
        text = SIZE.sub("1234567 bytes", TIME.sub("2026-11-28T12:00:00.000Z", text))
        return PASSED.sub("0:05", text)

    def _namer(self, form: str) -> "Callable[[re.Match[str]], str]":
        names = self._seen.setdefault(form, {})
        return lambda found: names.setdefault(found[0], form.format(len(names) + 1))
