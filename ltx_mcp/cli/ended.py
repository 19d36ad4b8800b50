"""A job as a person at a terminal is shown it: the film, its cost, what can be done next, and the whole timeline."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ltx_mcp.cli.screen import STATES, make_console, make_table, piece, place_of
from ltx_mcp.cli.words import option_name
from ltx_mcp.server.views import JobView

SIGNS = {"succeeded": "✓", "failed": "✗", "cancelled": "✗", "unknown": "?"}


def draw_made(view: JobView, facts: Sequence[str]) -> None:
    """What came of an order, and the commands that go on from it."""
    console = make_console()
    console.print()
    _draw_head(console, view)
    _draw_facts(console, view, facts)
    if view.state == "succeeded":
        console.print()
        _draw_next(console, view.job_id)


def draw_job(view: JobView, facts: Sequence[str]) -> None:
    """All that is known of one."""
    console = make_console()
    _draw_head(console, view)
    _draw_facts(console, view, facts)


def _draw_head(console: Console, view: JobView) -> None:
    sign = f"{SIGNS[view.state]} " if view.state in SIGNS else ""
    state = piece(console, f"{sign}{view.state}", STATES[view.state])
    console.print(Text.assemble(state, " ", piece(console, view.job_id, "bold")))


def _draw_facts(console: Console, view: JobView, facts: Sequence[str]) -> None:
    if place := view.file or view.video_url:
        # one line however long it is: what is marked with the mouse is then the whole path
        console.print(Text.assemble("  ", place_of(console, place)), soft_wrap=True)
    for fact in (f"{view.operation} at {view.provider} ({view.model}), {view.price()}", *facts):
        console.print(Padding(piece(console, fact), (0, 0, 0, 2)))


def _draw_next(console: Console, job_id: str) -> None:
    for word, command in next_steps(job_id):
        console.print(Text.assemble("  ", (f"{word:<6}", "dim"), f"  {command}"), soft_wrap=True)


def next_steps(job_id: str) -> list[tuple[str, str]]:
    """What can be done with a film, each a word and the command."""
    return [
        ("again", "the same command with --new"),
        ("longer", f"ltx-mcp extend {job_id} {option_name('duration')} 5"),
        ("redo", f"ltx-mcp retake {job_id} {option_name('start_time')} 0 {option_name('duration')} 2"),
        ("go on", f'ltx-mcp animate {job_id}#last "what happens then"'),
    ]


def draw_history(rows: Sequence[tuple[str, str, str]]) -> None:
    """When, what and how, a row for each thing that happened."""
    console = make_console()
    table = make_table(console, "at", "what", "detail")
    for at, what, detail in rows:
        table.add_row(piece(console, at, "dim"), piece(console, what), piece(console, detail, "dim"))
    console.print(table)
