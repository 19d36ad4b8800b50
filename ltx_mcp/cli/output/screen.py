"""Drawing for a person: consoles of the two streams, the colour of a state, a link to a film. Brings rich with it.

Colour follows NO_COLOR and TERM, which rich reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console, OverflowMethod
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ltx_mcp.cli.output.streams import writable
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.settings import home_folder

STATES = {
    "queued": "cyan",
    "submitting": "cyan",
    "running": "cyan",
    "saving": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "dim",
    "unknown": "bold yellow",
}
Cell = str | tuple[str, str]
"""Text, and its style where it has one."""
GAP = 2
ASKED = " [y/N]: "
"""What click puts behind a question."""


def make_console(*, stderr: bool = False) -> Console:
    """The terminal behind stdout or stderr; nothing in a text is taken for markup, a number or a picture."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def piece(console: Console, text: str, style: str | Style = "") -> Text:
    """Text of anybody on one line, in letters this console has."""
    return Text(writable(plain_line(text), console.encoding), style)


def make_table(console: Console, names: Sequence[str], rows: Iterable[Sequence[Cell]], *, cut: str = "") -> Table:
    """Rows under their names, without lines. Where there is too little room the column `cut` is cut short, else the
    widest is broken into lines: a figure is never cut."""
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim", expand=bool(cut))
    how: OverflowMethod = "crop" if console.options.ascii_only else "ellipsis"
    for name in names:
        if name == cut:
            table.add_column(name.upper(), no_wrap=True, overflow=how, ratio=1)
        else:
            table.add_column(name.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(piece(console, *([cell] if isinstance(cell, str) else cell)) for cell in row))
    return table


def draw_table(rows: Sequence[Mapping[str, str]], expendable: Sequence[str]) -> None:
    """Rows of figures. Where the terminal is narrow columns are left out: those in which nothing but zeros stands, then
    the `expendable` ones, one after the other."""
    console, names = make_console(), list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    empty = [name for name in names if all(row[name] in ("", "0", "0.00") for row in rows)]
    for name in dict.fromkeys((*empty, *expendable)):
        if sum(widths[each] for each in names) + GAP * (len(names) - 1) < console.width:
            break
        names.remove(name)
    console.print(make_table(console, names, ([row[name] for name in names] for row in rows)))


def place_of(console: Console, place: str) -> Text:
    """Where a film lies, as a person reads it: below the home folder by ~, and a link where the terminal has them."""
    path = Path(place)
    if not path.is_absolute():
        return piece(console, place, Style(link=place))
    home = home_folder()
    shown = str(Path("~") / path.relative_to(home)) if home and path.is_relative_to(home) else place
    return piece(console, shown, Style(bold=True, link=path.as_uri()))


def broken(question: str) -> str:
    """A question in lines that a terminal need not break, with room behind the last for what is typed."""
    console = make_console(stderr=True)
    lines = piece(console, question).wrap(console, max(GAP, console.width - len(ASKED) - GAP))
    return "\n".join(line.plain.rstrip() for line in lines)
