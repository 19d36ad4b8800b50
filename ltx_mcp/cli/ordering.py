"""An order from the command line: placed, followed to its end or left running, and reported."""

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import click

from ltx_mcp.cli.common import STILL_RUNNING, at_signal, open_jobs, report_errors, run
from ltx_mcp.cli.main import INTERRUPTED
from ltx_mcp.cli.naming import with_full_ids
from ltx_mcp.cli.options import read_options
from ltx_mcp.cli.output.messages import agrees, can_ask, say
from ltx_mcp.cli.output.output_file import open_film, read_output
from ltx_mcp.cli.output.progress import following, placed_text
from ltx_mcp.cli.output.takes import print_made_seen
from ltx_mcp.cli.output.text import age
from ltx_mcp.cli.takes import Seen, exit_code, id_of, look_again, look_at, videos_of
from ltx_mcp.domain.arguments import JoinVideos, OrderArguments
from ltx_mcp.domain.confirmation import ConfirmationPrompt, ConfirmationReply
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet, jobs_of
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.presentation.next_steps import context_of
from ltx_mcp.providers.key_names import previews_text
from ltx_mcp.settings import environment

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

LONG_S = 24 * 3600.0
MAX_PROMPT_READ = 100_000
"""Letters of stdin; what is longer than a prompt may be is refused as one that was typed is."""


@dataclass(frozen=True)
class CommandOrder:
    """What is asked of a tool, and what a person has said to it so far. `yes` agrees to its price, `new` to another one
    of what was made before."""

    model: type[OrderArguments]
    tool: str
    options: dict[str, Any]
    yes: bool
    new: bool
    answer: ConfirmationReply | None = None


@dataclass(frozen=True)
class Repeated:
    """What the same request has made not long ago, and the question whether another one is wanted."""

    seen: Seen
    question: str


def make(model: type[OrderArguments], tool: str, options: dict[str, Any]) -> None:
    """Order what `options` ask of `tool`, print what came of it and end with the exit code that says so."""
    as_json, wants_open = options.pop("as_json"), options.pop("wants_open")
    text, force = options.pop("output"), options.pop("force")
    takes = _count(options.get("takes", "1"))
    output = read_output(text, force=force, as_json=as_json, nothing="Nothing was ordered.", takes=takes)
    if options.get("prompt") == "-":
        options["prompt"] = sys.stdin.read(MAX_PROMPT_READ).strip()
    order = CommandOrder(model, tool, options, options.pop("yes", False), options.pop("new"))
    if order.new and options["request_key"]:
        raise click.UsageError("--new does not go with --request-key: a key that is new is another video already.")
    seen = _made(order)
    if seen is None:
        say("ltx-mcp: stopped while ordering; ltx-mcp jobs shows whether there is a job.")
        raise SystemExit(INTERRUPTED)
    code = exit_code(seen)
    if code == STILL_RUNNING:
        _say_left_running(id_of(seen), "/1" if takes > 1 else "", is_copied=output is not None)
    if as_json or code != STILL_RUNNING:
        print_made_seen(seen, as_json=as_json, says_place=output is None)
    for video in videos_of(seen) if code != STILL_RUNNING else ():
        if output is not None:
            with report_errors():
                output.put(video)
        if wants_open:
            open_film(video.file)
    raise SystemExit(code)


def _count(takes: str) -> int:
    """How many are asked for; what cannot be understood is refused where all is read."""
    return int(takes) if takes.isdecimal() else 1


def _say_left_running(name: str, take: str, *, is_copied: bool) -> None:
    finds = f"ltx-mcp jobs show {name} finds it"
    if is_copied:
        finds += f", and once it is made, ltx-mcp jobs fetch {name}{take} -o brings it"
    say(f"Left running: {name}.", f"{finds}; ltx-mcp jobs --watch follows it.")


def _made(order: CommandOrder) -> Seen | None:
    """What came of it, once a person has answered what there was to ask."""
    while True:
        made = run(partial(_order, order))
        if isinstance(made, ConfirmationPrompt):
            agreed = order.yes or agrees(made.text)
            order = replace(order, answer=ConfirmationReply(made.token, agreed))
        elif not isinstance(made, Repeated):
            return made
        elif agrees(made.question):
            order = replace(order, new=True)
        else:
            return made.seen


async def _order(order: CommandOrder) -> Seen | ConfirmationPrompt | Repeated | None:
    """The job or set at its end, or as it is when a signal says to leave; None when that comes before the order is
    known. The question where somebody must be asked first."""
    from ltx_mcp.jobs.store.same import Repeat

    arguments = read_options(order.model, order.tool, order.options)
    repeat = Repeat.ANOTHER if order.new else Repeat.ASKED
    scope, placed = anyio.CancelScope(), None
    async with at_signal(lambda _: scope.cancel()), open_jobs(work=True) as jobs:
        with scope:
            arguments, is_join = await with_full_ids(jobs, arguments), order.model is JoinVideos
            is_asked = order.yes or can_ask()
            ordered = await jobs.order_or_ask(arguments, LOCAL, order.answer, can_ask=is_asked, repeat=repeat)
            if isinstance(ordered, ConfirmationPrompt):
                return ordered
            placed = ordered.followed
            asks = "" if ordered.fresh or is_join else _asks_for_another(placed, arguments.request_key)
            if asks and can_ask():
                return Repeated(await look_at(jobs, placed), asks)
            if asks and not _is_retry(placed):
                raise _refused(placed)
            _say_placed(jobs, placed, fresh=ordered.fresh)
            if why := _why_preview(jobs, arguments):
                say(why)
            await _follow(jobs, placed)
        return None if placed is None else await look_again(jobs, placed.id)


def _why_preview(jobs: "Jobs", arguments: OrderArguments) -> str:
    """Why a preview is drawn where LTX was meant; empty where that is not so."""
    if isinstance(arguments, JoinVideos) or arguments.provider != "auto":
        return ""
    return previews_text(jobs.catalog, environment(), "this is a preview")


def _asks_for_another(job: Job | JobSet, request_key: str) -> str:
    """The question to a person whose request was made before; empty where it is plain what they want: a key names its
    own job, and what is under way is followed on."""
    if request_key or (job.live and not job.request_key):
        return ""
    return f"{_before(job)} Order another one?"


def _before(job: Job | JobSet) -> str:
    """What the same request has come to."""
    ago = f"{age(job.finished_at or job.created_at, datetime.now(UTC))} ago"
    if job.live:
        return f"The same request is under way: {job.id}, {job.price}."
    if job.state is State.UNKNOWN:
        return f"The same request was ordered {ago}: {job.id}, {job.price}. It may have been taken and charged."
    return f"The same request was made {ago}: {job.id}, {job.price}."


def _is_retry(job: Job | JobSet) -> bool:
    """Whether it ended so short ago that the same command is taken for a repetition."""
    from ltx_mcp.jobs.store.same import Repeat

    return (
        job.finished_at is not None and not job.request_key and datetime.now(UTC) - job.finished_at < Repeat.RETRY.value
    )


def _refused(job: Job | JobSet) -> CallerError:
    return CallerError(
        ErrorCode.NEEDS_CONFIRMATION,
        f"{_before(job)} Nothing was ordered.",
        f"ltx-mcp jobs show {job.id} says where its film lies; for another one give --new, or a new --request-key.",
    )


async def _follow(jobs: "Jobs", placed: Job | JobSet) -> None:
    contexts = [await context_of(jobs, job) for job in jobs_of(placed)]
    if reasons := [context.blocked_reason for context in contexts if context.blocked_reason]:
        say(f"Nobody works on it: {reasons[0]}")
    with following(jobs, placed, contexts) as (report, refresh):
        async with anyio.create_task_group() as group:
            group.start_soon(refresh)
            if isinstance(placed, JobSet):
                await jobs.following.wait(placed, LONG_S, report)
            else:
                await jobs.following.wait(placed, LONG_S, report)
            group.cancel_scope.cancel()


def _say_placed(jobs: "Jobs", placed: Job | JobSet, *, fresh: bool) -> None:
    offer = jobs_of(placed)[0].offer
    if fresh:
        say(placed_text(placed, is_preview=jobs.catalog.facts(offer.provider).is_preview))
    else:
        say(f"This request already had {placed.id}; for another one give --new, or a new --request-key.")
    for change in offer.adjustments:
        say(f"Changed: {change.field} {change.asked} -> {change.got}.")
