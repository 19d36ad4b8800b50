"""What a measurement hands back: a title, rows of figures with their budgets, and how it was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

HEAD = ("figure", "median", "min..max", "budget", "verdict")


@dataclass(frozen=True)
class Row:
    """One figure. `budget` is the most (or, with `least`, the least) its median may be; None is for information."""

    what: str
    values: Sequence[float]
    show: Callable[[float], str]
    budget: float | None = None
    least: bool = False

    def cells(self) -> tuple[str, ...]:
        """The row as text; a single run has no spread."""
        low, high = min(self.values), max(self.values)
        spread = f"{self.show(low)}..{self.show(high)}" if len(self.values) > 1 else ""
        return (self.what, self.show(self._middle), spread, self._budget_text(), self._verdict())

    @property
    def _middle(self) -> float:
        return median(self.values)

    def _budget_text(self) -> str:
        if self.budget is None:
            return ""
        return f"{'>=' if self.least else '<='} {self.show(self.budget)}"

    def _verdict(self) -> str:
        if self.budget is None:
            return ""
        kept = self._middle >= self.budget if self.least else self._middle <= self.budget
        return "ok" if kept else "over"


@dataclass(frozen=True)
class Table:
    """All figures of one measurement; `notes` say how they came about."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = field(default=())

    def text(self) -> str:
        """Aligned plain text."""
        lines = [HEAD, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
        shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        body = [line.rstrip() for line in (shown[0], "-" * len(shown[0]), *shown[1:])]
        return "\n".join([f"== {self.title}", *body, *self.notes, ""])


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, round by round: what disturbs a round disturbs both sides of it."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def ms(value_s: float) -> str:
    """Seconds shown as milliseconds."""
    return f"{value_s * 1000:.1f} ms" if value_s < 0.1 else f"{value_s * 1000:.0f} ms"


def seconds(value_s: float) -> str:
    """Seconds."""
    return f"{value_s:.2f} s"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.2f} x"


def percent(value: float) -> str:
    """A share of one core, in percent."""
    return f"{value:.2f} %"


def mib(value_bytes: float) -> str:
    """Bytes shown as MiB."""
    return f"{value_bytes / 2**20:.1f} MiB"


def count(value: float) -> str:
    """A whole number, such as bytes on the wire."""
    return f"{value:,.0f}"
