"""A job as a person at a terminal is shown it: the film, its cost, what can be done next, and the whole timeline."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ltx_mcp.cli.output.screen import STATES, make_console, make_table, piece, place_of
from ltx_mcp.cli.output.text import option_name, spoken
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.request import Input
from ltx_mcp.presentation.result_models import JobView
from ltx_mcp.presentation.suggestions import ADDED_S, ANY_PROMPT, REDONE_S, longer, next_shot, redone

SIGNS = {"succeeded": "✓", "failed": "✗", "cancelled": "✗", "unknown": "?"}


def draw_made(view: JobView, facts: Sequence[str], steps: Sequence[tuple[str, str]]) -> None:
    """What came of an order, and the commands that go on from it."""
    console = make_console()
    console.print()
    _draw_head(console, view)
    _draw_facts(console, view, facts)
    if steps:
        console.print()
        _draw_next(console, steps)


def draw_job(view: JobView, facts: Sequence[str], steps: Sequence[tuple[str, str]] = ()) -> None:
    """All that is known of one."""
    console = make_console()
    _draw_head(console, view)
    _draw_facts(console, view, facts)
    _draw_next(console, steps)


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


def _draw_next(console: Console, steps: Sequence[tuple[str, str]]) -> None:
    for words, command in steps:
        console.print(Padding(piece(console, words, "dim"), (0, 0, 0, 2)))
        # a line of its own, however long it is: the whole of it can be marked and given
        console.print(f"    {command}", soft_wrap=True)


def next_steps(view: JobView, market: Catalog) -> list[tuple[str, str]]:
    """What can be done with a film, each with its price, and the command."""
    video, last = _inputs_of(view)
    job_id, steps = view.job_id, [(f"again, {view.price()}", "the same command with --new")]
    if more := longer(video, market):
        context = f" {option_name('context')} {more.context:g}" if more.context else ""
        words = spoken(f"{ADDED_S} s longer, {more.price}")
        steps.append((words, f"ltx-mcp extend {job_id} {option_name('duration')} {ADDED_S}{context}"))
    if redo := redone(video, market):
        section = f"{option_name('start_time')} 0 {option_name('duration')} {REDONE_S}"
        steps.append(
            (f"{REDONE_S} s of it anew, {redo.price}", f'ltx-mcp retake {job_id} {section} --prompt "{ANY_PROMPT}"')
        )
    if shot := next_shot(last, market):
        words = f"a next shot of {shot.offer.length:f} s, {shot.price}"
        steps.append((words, f'ltx-mcp animate {job_id}#last "{ANY_PROMPT}"'))
    return steps


def _inputs_of(view: JobView) -> tuple[Input, Input]:
    """Its film, and its last frame, as further orders would name them."""
    width, height, fps = view.width or 0, view.height or 0, view.fps or 0.0
    duration = view.duration or 0.0
    video = Input(
        "video",
        job_id=view.job_id,
        width=width,
        height=height,
        duration=duration,
        fps=fps,
        frames=round(duration * fps),
        has_audio=bool(view.has_audio),
    )
    return video, Input("image", job_id=view.job_id, frame_position="last", width=width, height=height)


def draw_history(rows: Sequence[tuple[str, str, str]]) -> None:
    """When, what and how, a row for each thing that happened."""
    console = make_console()
    table = make_table(console, "at", "what", "detail")
    for at, what, detail in rows:
        table.add_row(piece(console, at, "dim"), piece(console, what), piece(console, detail, "dim"))
    console.print(table)
