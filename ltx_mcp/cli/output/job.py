"""A job as a person is shown it: what was asked for, what was made of it and can be next, and what happened to it."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import option_name, print_json, spoken
from ltx_mcp.domain.job import Event, Job
from ltx_mcp.domain.join import JoinPlan
from ltx_mcp.domain.offer import CAPTION
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import MAX_PROVIDER_CHARS, one_line, plain_line
from ltx_mcp.domain.request import Input
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.presentation.result_models import AdjustmentView, JobView, to_time
from ltx_mcp.presentation.result_text import changes_text, says
from ltx_mcp.presentation.suggestions import ADDED_S, ANY_PROMPT, REDONE_S, longer, next_shot, redone

if TYPE_CHECKING:
    from rich.console import Console

JOIN = "join"
PREVIEW = "A preview drawn on this machine, not LTX."
HAS_PREVIEWS = "It has previews drawn on this machine, which are not LTX."
SIGNS = {"succeeded": "✓", "failed": "✗", "cancelled": "✗", "unknown": "?"}
NOTHING = ("", "None", "0", "none", "auto", "never")
REPORTED = ("provider", "model", "error", "message", "waits_for", "wait_s", "quoted_usd", "charged_usd")
NAMES = {
    "waits_for": "waits for",
    "wait_s": "seconds to wait",
    "quoted_usd": "quoted USD",
    "charged_usd": "charged USD",
}


def print_job(view: JobView, asked: Sequence[str] = (), *, as_json: bool = False) -> None:
    """All that is known; `asked` are sentences of what was asked for."""
    if as_json:
        print_json(view.to_wire())
        return
    facts, steps = [*asked, *_facts(view)], _ways_to_settle(view)
    if is_terminal(sys.stdout):
        _draw(view, facts, steps)
        return
    for line in (f"{view.job_id} {view.state}", _order(view), *facts, *map(": ".join, steps)):
        print(line)
    if place := view.file or view.video_url:
        print(place)


def print_made(view: JobView, *, as_json: bool, says_place: bool) -> None:
    """The film's path alone on stdout, where a program can take it; on stderr what was not said when it was ordered.
    For a person one short block instead, which says what can be done next."""
    if as_json:
        print_json(view.to_wire())
        return
    if is_terminal(sys.stdout):
        made = next_steps(view, read_edge()[1]) if view.state == "succeeded" else ()
        _draw(view, _facts(view), made or _ways_to_settle(view), is_made=True)
        return
    new = [change for change in view.adjustments if change.by != "server"]
    for line in (*_facts(view.model_copy(update={"adjustments": new})), *map(": ".join, _ways_to_settle(view))):
        print(line, file=sys.stderr)
    if says_place and (place := view.file or view.video_url):
        print(place)


def _draw(view: JobView, facts: Sequence[str], steps: Sequence[tuple[str, str]], *, is_made: bool = False) -> None:
    """On a terminal; what was just made stands apart, and so do the commands that go on from it."""
    from ltx_mcp.cli.output.screen import make_console

    console = make_console()
    if is_made:
        console.print()
    draw_block(console, view.job_id, view.state, view.file or view.video_url, [_order(view), *facts])
    if is_made and steps:
        console.print()
    draw_steps(console, steps)


def draw_block(console: "Console", name: str, state: str, place: str | None, facts: Sequence[str]) -> None:
    """One job or take: how it stands, where its video lies, and a sentence for each fact."""
    from rich.text import Text

    from ltx_mcp.cli.output.screen import STATES, piece, place_of

    sign = f"{SIGNS[state]} " if state in SIGNS else ""
    words = piece(console, f"{sign}{state}", STATES[state])
    console.print(Text.assemble(words, " ", piece(console, name, "bold")))
    if place:
        # one line however long it is: what is marked with the mouse is then the whole path
        console.print(Text.assemble("  ", place_of(console, place)), soft_wrap=True)
    for fact in facts:
        _draw_indented(console, fact)


def draw_steps(console: "Console", steps: Sequence[tuple[str, str]]) -> None:
    """What can be done next, and the command for it."""
    for words, command in steps:
        _draw_indented(console, words, "dim")
        # a line of its own, however long it is: the whole of it can be marked and given
        console.print(f"    {command}", soft_wrap=True)


def _draw_indented(console: "Console", text: str, style: str = "") -> None:
    from rich.padding import Padding

    from ltx_mcp.cli.output.screen import piece

    console.print(Padding(piece(console, text, style), (0, 0, 0, 2)))


def _order(view: JobView) -> str:
    if view.operation == JOIN:
        return "joined on this machine, free of charge"
    return f"{view.operation} at {view.provider} ({view.model}), {view.price()}"


def next_steps(view: JobView, catalog: Catalog) -> list[tuple[str, str]]:
    """What can be done with a film, each with its price, and the command."""
    if view.operation == JOIN:
        return [
            ("its shots with it, for an editor", f"ltx-mcp film {view.job_id} --to FOLDER"),
            ("upright", f"ltx-mcp reframe {view.job_id} {option_name('aspect_ratio')} 9:16"),
        ]
    return steps_of(view.job_id, view.price(), *_inputs_of(view), catalog)


def steps_of(name: str, price: str, video: Input, last: Input, catalog: Catalog) -> list[tuple[str, str]]:
    """The same for the film that `name` names; `last` is its last frame."""
    steps = [(f"again, {price}", "the same command with --new")]
    if more := longer(video, catalog):
        context = f" {option_name('context')} {more.context:g}" if more.context else ""
        words = spoken(f"{ADDED_S} s longer, {more.price}")
        steps.append((words, f"ltx-mcp extend {name} {option_name('duration')} {ADDED_S}{context}"))
    if redo := redone(video, catalog):
        section = f"{option_name('start_time')} 0 {option_name('duration')} {REDONE_S}"
        steps.append(
            (f"{REDONE_S} s of it anew, {redo.price}", f'ltx-mcp retake {name} {section} --prompt "{ANY_PROMPT}"')
        )
    if shot := next_shot(last, catalog):
        words = f"a next shot of {shot.offer.length:f} s, {shot.price}"
        steps.append((words, f'ltx-mcp animate {name}#last "{ANY_PROMPT}"'))
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


def _ways_to_settle(view: JobView) -> list[tuple[str, str]]:
    return ways_to_settle(view.job_id, view.state, view.provider)


def ways_to_settle(job_id: str, state: str, provider: str) -> list[tuple[str, str]]:
    """What a person may say of an order whose outcome is unknown, after a look at the provider's dashboard."""
    if state != "unknown":
        return []
    return [
        (f"if {provider}'s dashboard shows the order", f"ltx-mcp jobs adopt {provider} REMOTE_ID --job {job_id}"),
        ("if it does not", f"ltx-mcp jobs resolve {job_id} not-charged"),
        ("if it was charged and its film is lost", f"ltx-mcp jobs resolve {job_id} charged"),
    ]


def _facts(view: JobView) -> list[str]:
    """How far it is, what it was made from, what came of it: a sentence each."""
    set_id, _, number = (view.take or "").partition("/")
    lines = [f"Take {number} of {set_id}."] if number else []
    if view.progress is not None and view.finished_at is None:
        lines.append(f"{view.progress:.0f} %")
    if view.sources:
        lines.append(f"Made from {', '.join(view.sources)}.")
    if view.width:
        sound = "with sound" if view.has_audio else "silent"
        lines.append(f"{view.duration:g} s, {view.width}x{view.height}, {view.fps:g} fps, {sound}")
    if view.charged_usd is not None and view.charged_usd != view.cost_usd:
        lines.append(f"Charged {to_text(view.charged_usd)} USD, by the provider's own figure.")
    lines += [change_text(each) for each in view.adjustments]
    if view.is_preview:
        lines.append(HAS_PREVIEWS if view.operation == JOIN else PREVIEW)
    if view.error:
        lines.append(f"{view.error.code}: {' '.join(filter(None, (view.error.message, view.error.hint)))}")
    said = [says(view.provider, view.error.provider_detail)] if view.error and view.error.provider_detail else []
    return [spoken(line) for line in lines] + said


def change_text(change: AdjustmentView) -> str:
    """What is not as asked, and by whom."""
    if change.field == CAPTION:
        return changes_text([change])
    return f"Changed: {change.field} {change.asked} -> {change.got} (by {change.by})."


def asked_of(job: Job) -> list[str]:
    """The prompt and all that was asked for beside it, a sentence each."""
    words = one_line(job.prompt, MAX_PROVIDER_CHARS)
    if job.offer.join:
        return [
            *([f"Titles: {words}"] if words else []),
            f"Asked for: {', '.join(_parts_of_join(job, job.offer.join))}.",
        ]
    return [*([f"Prompt: {words}"] if words else []), f"Asked for: {', '.join(_parts(job))}."]


def _parts(job: Job) -> list[str]:
    asked = job.canonical_request
    length = asked.get("duration", "")
    parts = [
        f"{length} s" if length not in NOTHING else "as long as it comes",
        _named(asked, "resolution", "{}"),
        _named(asked, "aspect_ratio", "{}"),
        _named(asked, "fps", "{} fps"),
        "with sound" if asked.get("generate_audio") == "True" else "silent",
        _named(asked, "camera_motion", "camera {}"),
        _named(asked, "mode", "mode {}"),
        _named(asked, "start_time", "from second {}"),
        _named(asked, "context", "{} s of context"),
        _named(asked, "provider", "provider {}"),
        _named(asked, "model", "model {}"),
        _named(asked, "adjust", "adjusted to the {}"),
    ]
    media = [_medium(given.role, given.format, given.width, given.height) for given in job.inputs if not given.job_id]
    return [*filter(None, parts), *media]


def _parts_of_join(job: Job, plan: JoinPlan) -> list[str]:
    settings, count = plan.settings, len(plan.clips)
    between = f"{settings.transition}s of {settings.transition_s:f} s" if settings.transition_s else "cuts"
    sound = any(given.kind == "audio" for given in job.inputs)
    parts = [
        f"{count} videos with {between}",
        f"a sound under all at {settings.sound_level:f}" if sound else "",
        f"captions{' in the picture' if settings.burn_captions else ''}" if settings.captions else "",
    ]
    return [*filter(None, parts)]


def _named(asked: Mapping[str, str], name: str, words: str) -> str:
    value = plain_line(asked.get(name, ""))
    return "" if value in NOTHING else words.format(value)


def _medium(role: str, form: str, width: int, height: int) -> str:
    size = f" of {width}x{height}" if width else ""
    return f"{role.replace('_', ' ')}: {form or 'a file'}{size}"


def _happened(detail: Mapping[str, Any], is_debug: bool) -> str:
    """What is known of one thing that happened, on one line."""
    if is_debug:
        return plain_line(", ".join(f"{name} {value}" for name, value in detail.items()))
    reported = {name: detail[name] for name in REPORTED if detail.get(name) not in (None, "")}
    return plain_line(
        ", ".join(f"{NAMES[name]} {value}" if name in NAMES else str(value) for name, value in reported.items())
    )


def print_history(events: Sequence[Event], *, is_debug: bool) -> None:
    """When, what and how, a line for each thing that happened; with `is_debug` in the words of the database."""
    rows = []
    for each in events:
        what = each.what if is_debug else each.what.replace("_", " ")
        rows.append((to_time(each.at) or "", what, _happened(each.detail, is_debug)))
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.output.screen import make_console, make_table

        console = make_console()
        drawn = [((at, "dim"), what, (detail, "dim")) for at, what, detail in rows]
        console.print(make_table(console, ("at", "what", "detail"), drawn))
        return
    for at, what, detail in rows:
        print(f"{at}  {what:<14}  {detail}".rstrip())
