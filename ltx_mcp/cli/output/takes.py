"""A set as a person is shown it: its takes one after the other, and how one of them is gone on with."""

import sys
from collections.abc import Sequence

from ltx_mcp.cli.output.job import PREVIEW, change_text, draw_block, draw_steps, print_job, print_made, steps_of
from ltx_mcp.cli.output.job import ways_to_settle as ways_of
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import print_json, spoken
from ltx_mcp.cli.takes import Seen, SeenSet
from ltx_mcp.domain.job import Job, State, input_of
from ltx_mcp.domain.price import to_text
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.presentation.next_steps import money_text
from ltx_mcp.presentation.result_models import AdjustmentView
from ltx_mcp.presentation.result_text import says
from ltx_mcp.presentation.set_results import SetView, TakeView

Steps = list[tuple[str, str]]


def print_seen(seen: Seen, asked: Sequence[str] = (), *, as_json: bool = False) -> None:
    """All that is known of a job or a set; `asked` are sentences of what was asked for."""
    if not isinstance(seen, SeenSet):
        print_job(seen, asked, as_json=as_json)
    elif as_json:
        print_json(seen.view.to_wire())
    elif is_terminal(sys.stdout):
        _draw(seen, [*asked, *_facts(seen.view)], _ways_to_settle(seen.view))
    else:
        view = seen.view
        for line in (f"{view.job_id} {view.state}", _order(view), *asked, *_facts(view)):
            print(line)
        for take, facts in _facts_of_takes(seen):
            print(f"{take.name} {take.state}: {'; '.join(facts)}")
            if place := take.file or take.video_url:
                print(place)
        for step in _ways_to_settle(view):
            print(": ".join(step))


def print_made_seen(seen: Seen, *, as_json: bool, says_place: bool) -> None:
    """What was made, as `print_made` does it: of a set the path of each video on a line of its own."""
    if not isinstance(seen, SeenSet):
        print_made(seen, as_json=as_json, says_place=says_place)
    elif as_json:
        print_json(seen.view.to_wire())
    elif is_terminal(sys.stdout):
        _draw(seen, _facts(seen.view), _next_steps(seen) or _ways_to_settle(seen.view), is_made=True)
    else:
        _print_made_set(seen, says_place=says_place)


def _print_made_set(seen: SeenSet, *, says_place: bool) -> None:
    view = seen.view
    new = [change for change in view.adjustments if change.by != "server"]
    for take, facts in _facts_of_takes(seen):
        print(f"take {take.take} {take.state}: {'; '.join(facts)}", file=sys.stderr)
    for line in (*_facts(view, new), *map(": ".join, _ways_to_settle(view))):
        print(line, file=sys.stderr)
    for place in (take.file or take.video_url for take in view.takes if says_place):
        if place:
            print(place)


def _draw(seen: SeenSet, facts: Sequence[str], steps: Steps, *, is_made: bool = False) -> None:
    from ltx_mcp.cli.output.screen import make_console

    console, view = make_console(), seen.view
    if is_made:
        console.print()
    draw_block(console, view.job_id, view.state, None, [_order(view), *facts])
    for take, of_take in _facts_of_takes(seen):
        draw_block(console, take.name, take.state, take.file or take.video_url, of_take)
    if is_made and steps:
        console.print()
    draw_steps(console, steps)


def _order(view: SetView) -> str:
    return f"{view.operation} at {view.provider} ({view.model}), {len(view.takes)} takes, {view.price()} in all"


def _facts(view: SetView, adjustments: Sequence[AdjustmentView] | None = None) -> list[str]:
    """What is true of all takes, a sentence each."""
    lines = [f"Made from {', '.join(view.sources)}."] if view.sources else []
    lines += [change_text(each) for each in (view.adjustments if adjustments is None else adjustments)]
    return [*map(spoken, lines), *([PREVIEW] if view.is_preview else [])]


def _facts_of_takes(seen: SeenSet) -> list[tuple[TakeView, list[str]]]:
    return [(take, _take_facts(take, job)) for take, job in zip(seen.view.takes, seen.takes, strict=True)]


def _take_facts(take: TakeView, job: Job) -> list[str]:
    """How far one is, what came of it and what it costs."""
    lines = []
    if take.progress is not None and take.state == "running":
        lines.append(f"{take.progress:.0f} %")
    if take.width:
        lines.append(f"{take.duration:g} s, {take.width}x{take.height}, {take.fps:g} fps")
    if take.error:
        lines.append(f"{take.error.code}: {' '.join(filter(None, (take.error.message, take.error.hint)))}")
    said = [says(take.provider, take.error.provider_detail)] if take.error and take.error.provider_detail else []
    return [*map(spoken, [*lines, f"it {money_text(job)}"]), *said]


def _ways_to_settle(view: SetView) -> Steps:
    return [step for take in view.takes for step in ways_of(take.name, take.state, take.provider)]


def _next_steps(seen: SeenSet) -> Steps:
    """How the first take that has a video is looked at and gone on with; any other one is by its own name."""
    made = next((take for take in seen.takes if take.state is State.SUCCEEDED), None)
    if made is None:
        return []
    name, video, last = made.take_name, input_of(made, "video"), input_of(made, "image", "last")
    price = f"{to_text(seen.view.cost_usd)} USD"
    again, *steps = steps_of(name, price, video, last, read_edge()[1])
    chosen = [(f"from take {made.take}, or any other: {words}", command) for words, command in steps]
    return [(f"look at take {made.take}", f"ltx-mcp open {name}"), again, *chosen]
