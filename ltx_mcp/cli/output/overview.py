"""How a service does, as its operator is shown it: as JSON, in plain lines, and drawn anew on a terminal of any width.

No prompt stands in it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ltx_mcp.cli.output.listing import shown_caller
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import age, print_table
from ltx_mcp.domain.price import from_micro, to_text, to_wire
from ltx_mcp.jobs.overview import MAX_WAITING, Overview, by_code, by_minute, by_state, to_minute, used
from ltx_mcp.jobs.store.budget import TOTAL, Budget
from ltx_mcp.presentation.result_models import to_time

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

MINUTES = 60
BARS = "▁▂▃▄▅▆▇█"
MAX_NAME_CHARS, DRAWN_NAME_CHARS, MIN_NAME_CHARS = 80, 30, 12
OTHER_COLUMNS = 60
"""What the other columns of the widest table take of a line."""
MAX_ROWS = 10
LOW = ((MAX_ROWS, False), (4, False), (3, False), (2, False), (1, False))
"""How many rows of each table, and whether there are lines between them, where a terminal is too low for all."""
NARROW = {"caller": 76, "held": 60, "booked": 60, "provider": 56, "state": 46}
"""Columns a terminal must have to be shown these too."""
ENDS = ("succeeded", "failed", "cancelled")
USED_UP = 0.9
"""The share of a budget from which on it is in colour."""

Cell = str | tuple[str, str]
"""Text, and its style where it has one."""


@dataclass(frozen=True)
class Block:
    """A table of rows by the names of their columns, and sentences below it; where bars can be drawn also those."""

    rows: Sequence[Mapping[str, Cell]] = ()
    sentences: Sequence[Cell] = ()
    has_bars: bool = False


def to_json(seen: Overview) -> dict[str, Any]:
    """All of it, always with all keys."""
    return {
        "at": to_time(seen.at),
        "replicas": seen.replicas,
        "live": [vars(each) for each in seen.live],
        "money": _money(seen.total) | {"nearest": [_named(each) | _money(each) for each in seen.nearest]},
        "slowest": [
            {
                "job_id": job.id,
                "caller": job.caller,
                "provider": job.provider,
                "state": job.state,
                "created_at": to_time(job.created_at),
                "age_s": round((seen.at - job.created_at).total_seconds()),
            }
            for job in seen.slowest
        ],
        "unknown": [
            {"provider": each.provider, "jobs": each.jobs, "oldest_at": to_time(each.oldest_at)}
            for each in seen.unknown
        ],
        "last_hour": {
            **{state: by_state(seen.ends)[state] for state in ENDS},
            "failures": dict(by_code(seen.ends).most_common()),
            "per_minute": [{"minute": to_time(minute), "jobs": ended} for minute, ended in _per_minute(seen)],
        },
        "webhooks": [
            {
                "webhook": each.name,
                "waiting": each.waiting,
                "oldest_at": to_time(each.oldest_at),
                "disabled_at": to_time(each.disabled_at),
            }
            for each in seen.webhooks
        ],
    }


def _money(budget: Budget) -> dict[str, Any]:
    return {
        "held_usd": to_wire(from_micro(budget.held)),
        "booked_usd": to_wire(from_micro(budget.booked)),
        "limit_usd": None if budget.limit is None else to_wire(from_micro(budget.limit)),
    }


def _named(budget: Budget) -> dict[str, str]:
    kind, _, name = budget.scope.partition(":")
    return {"of": kind, "name": name}


def _per_minute(seen: Overview) -> list[tuple[datetime, int]]:
    """How many ended in each of the last 60 minutes; the last one is under way."""
    found, last = by_minute(seen.ends), to_minute(seen.at)
    minutes = [last - timedelta(minutes=ago) for ago in reversed(range(MINUTES))]
    return [(minute, found[minute]) for minute in minutes]


# -- for a person -----------------------------------------------------------------------------------------------------


def print_overview(seen: Overview) -> None:
    """Once, as it is now."""
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.output.screen import make_console

        make_console().print(OverviewScreen(seen))
        return
    for number, block in enumerate(_blocks(seen, MAX_NAME_CHARS)):
        if number:
            print()
        if block.rows:
            print_table([{name: _text(cell) for name, cell in row.items()} for row in block.rows])
        for sentence in block.sentences:
            print(_text(sentence))


@contextmanager
def drawing_overview() -> Iterator[Callable[[Overview, str], None]]:
    """Takes it as often as it was read, with what is wrong where something is, and draws it; leaves nothing behind.
    Raises BrokenPipeError when the terminal is gone."""
    from rich.live import Live

    from ltx_mcp.cli.output.screen import make_console

    console = make_console()
    try:
        with Live(console=console, transient=True, auto_refresh=False, redirect_stderr=False) as live:

            def draw(seen: Overview, trouble: str) -> None:
                if not is_terminal(sys.stdout):  # it is gone, and rich would draw nothing without an error
                    raise BrokenPipeError
                live.update(OverviewScreen(seen, trouble, console.height - 1), refresh=True)

            yield draw
    except OSError as error:
        if is_terminal(sys.stdout):
            raise
        raise BrokenPipeError from error  # Linux has another error for a terminal


class OverviewScreen:
    """One look, drawn as wide as the terminal is."""

    def __init__(self, seen: Overview, trouble: str = "", height: int | None = None) -> None:
        self._seen = seen
        self._trouble = trouble
        self._height = height

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        for max_rows, has_gaps in ((MAX_ROWS, True), *LOW):
            parts = list(self._parts(console, options, max_rows, has_gaps=has_gaps))
            height = sum(len(console.render_lines(part, options, pad=False)) for part in parts)
            if self._height is None or height <= self._height:
                break
        yield from parts

    def _parts(
        self, console: "Console", options: "ConsoleOptions", max_rows: int, *, has_gaps: bool
    ) -> "Iterator[RenderableType]":
        from ltx_mcp.cli.output.screen import make_table, piece

        width = options.max_width
        name_chars = min(DRAWN_NAME_CHARS, max(MIN_NAME_CHARS, width - OTHER_COLUMNS))
        if self._trouble:
            yield piece(console, self._trouble, "bold red")
        for number, block in enumerate(_blocks(self._seen, name_chars)):
            if number and has_gaps:
                yield ""
            if rows := block.rows[:max_rows]:
                names = [name for name in rows[0] if width >= NARROW.get(name, 0)]
                yield make_table(console, names, ([row[name] for name in names] for row in rows))
            for sentence in block.sentences:
                yield piece(console, *((sentence,) if isinstance(sentence, str) else sentence))
            if block.has_bars and not options.ascii_only:
                yield piece(console, _bars(self._seen, min(MINUTES, width)), "dim")


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _blocks(seen: Overview, name_chars: int) -> list[Block]:
    """The blocks that have something to say."""
    blocks = (
        _head(seen),
        _ended(seen),
        _live(seen),
        _spent(seen, name_chars),
        _hooks(seen),
        _slowest(seen, name_chars),
    )
    return [block for block in blocks if block.rows or block.sentences]


def _head(seen: Overview) -> Block:
    live = sum(each.jobs for each in seen.live)
    replicas = f"{seen.replicas} processes work" if seen.replicas > 1 else "1 process works"
    replicas = replicas if seen.replicas else "Nobody works"
    work = f"{replicas} on {_counted(live, 'live job')}" if live or seen.replicas else "Nothing is under way"
    sentences: list[Cell] = [f"{seen.at:%H:%M:%S} UTC. {work}."]
    if seen.unknown:
        providers = ", ".join(f"{each.provider} {each.jobs}" for each in seen.unknown)
        oldest = min(each.oldest_at for each in seen.unknown if each.oldest_at) if seen.unknown else seen.at
        count = _counted(sum(each.jobs for each in seen.unknown), "unknown outcome")
        text = (
            f"{count} ({providers}), the oldest since {age(oldest, seen.at)}: ltx-mcp jobs --caller all --state unknown"
        )
        sentences.append((text, "bold yellow"))
    return Block(sentences=sentences)


def _live(seen: Overview) -> Block:
    rows = []
    for provider in dict.fromkeys(each.provider for each in seen.live):
        found = [each for each in seen.live if each.provider == provider]
        states = ", ".join(f"{each.jobs} {each.state}" for each in sorted(found, key=lambda each: -each.jobs))
        rows.append({"live at": provider, "jobs": str(sum(each.jobs for each in found)), "states": states})
    return Block(rows)


def _spent(seen: Overview, name_chars: int) -> Block:
    return Block([_spender(each, name_chars) for each in (seen.total, *seen.nearest)])


def _spender(budget: Budget, name_chars: int) -> dict[str, Cell]:
    kind, _, name = budget.scope.partition(":")
    shown = "everybody" if budget.scope == TOTAL else name if kind == "caller" else f"team {name}"
    share = used(budget)
    is_limited = budget.limit is not None
    return {
        "today": shown_caller(shown, name_chars),
        "held": to_text(from_micro(budget.held)),
        "booked": to_text(from_micro(budget.booked)),
        "spent": to_text(from_micro(budget.held + budget.booked)),
        "of USD": to_text(from_micro(budget.limit or 0)) if is_limited else "",
        "used": (f"{min(share, 9.99):.0%}", "bold red" if share >= USED_UP else "") if is_limited else "",
    }


def _slowest(seen: Overview, name_chars: int) -> Block:
    return Block(
        [
            {
                "slowest": job.id,
                "age": age(job.created_at, seen.at),
                "state": (job.state, "cyan"),
                "provider": job.provider,
                "caller": shown_caller(job.caller, name_chars),
            }
            for job in seen.slowest
        ]
    )


def _hooks(seen: Overview) -> Block:
    return Block(
        [
            {
                "webhook": each.name,
                "waiting": f"{each.waiting}{'+' * (each.waiting >= MAX_WAITING)}",
                "oldest": age(each.oldest_at, seen.at) if each.oldest_at else "",
                "status": ("disabled", "bold red") if each.disabled_at else "on",
            }
            for each in seen.webhooks
        ]
    )


def _ended(seen: Overview) -> Block:
    states, minutes = by_state(seen.ends), _per_minute(seen)
    ended = sum(states.values())
    last = minutes[-2][1]  # the newest one is not over
    text = f"{_counted(ended, 'job')} ended within the hour, {ended / MINUTES:.1f} a minute, {last} in the last one"
    each = ", ".join(f"{states[state]} {state}" for state in ENDS if states[state])
    sentences: list[Cell] = [f"{text}: {each}." if each else f"{text}."]
    if failures := by_code(seen.ends).most_common():
        sentences.append((f"Failed: {', '.join(f'{code} {count}' for code, count in failures)}.", "red"))
    return Block(sentences=sentences, has_bars=True)


def _bars(seen: Overview, width: int) -> str:
    """A bar for each of the last minutes, the highest as high as a line."""
    counts = [count for _, count in _per_minute(seen)][-width:]
    most = max(counts)
    return "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts) if most else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
