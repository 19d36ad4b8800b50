"""The tools: one short function each, which turns arguments into a call of Jobs and a job into a result.

Docstrings are product text: a model reads them to decide which tool to call.
"""

from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio
from mcp.server.apps import client_supports_apps
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel

from ltx_mcp.domain.argument_types import MAX_WAIT_S
from ltx_mcp.domain.arguments import (
    OPERATIONS,
    AnimateImage,
    Arguments,
    CancelJob,
    CheckJob,
    EstimateCost,
    ExtendVideo,
    GenerateFromAudio,
    GenerateVideo,
    JoinVideos,
    ListJobs,
    OrderArguments,
    ReframeVideo,
    RetakeVideo,
)
from ltx_mcp.domain.confirmation import ConfirmationPrompt
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.job_set import JobSet, one_take_needed
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.presentation.next_steps import money_text
from ltx_mcp.presentation.result_models import Estimate, JobList, JobRef, to_estimate, to_summary, without_frames
from ltx_mcp.presentation.result_text import assumed_text, cancel_text, estimate_text, job_text, list_text, set_text
from ltx_mcp.presentation.set_results import set_without_frames
from ltx_mcp.presentation.set_steps import set_money_text
from ltx_mcp.server import elicitation
from ltx_mcp.server.app_context import AppContext, open_jobs
from ltx_mcp.server.arguments import StrictTool, make_tool
from ltx_mcp.server.auth.current import current_caller
from ltx_mcp.server.player.page import TOOL_META
from ltx_mcp.server.player.player_actions import player_meta, set_meta
from ltx_mcp.server.results import ToolResult, job_result, make_result
from ltx_mcp.server.tasks import follows_tasks

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
LOOK = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
PAID = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
MADE_HERE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
STOP = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
DEFAULT_WAIT_S, SUBMISSION_WAIT_S = 25.0, 20.0
"""How long a call waits by default for a job's end, and for its submission, if its client is known to wait."""
MAX_CALL_S: float = MAX_WAIT_S
"""How long a call may take that asks a person, orders, and waits for the submission."""

CONTACT_SHEET_SENTENCE = (
    "When it is done you see a contact sheet: look at it before you show the video or order again. "
)
"""What the description of check_job says of images."""
Followed = TypeVar("Followed", Job, JobSet)
CORE = (GenerateVideo, AnimateImage, CheckJob, EstimateCost, CancelJob, ListJobs)


async def generate_video(arguments: GenerateVideo, context: Context[AppContext]) -> ToolResult:
    """Make a video from a text prompt. Places one paid order (local: a free preview) and answers within
    seconds with a job_id; the film takes minutes: follow it with check_job. Never repeat it because an answer is late:
    the job survives time-outs and restarts. Price first: estimate_cost. From a picture: animate_image."""
    return await _order(arguments, context)


async def animate_image(arguments: AnimateImage, context: Context[AppContext]) -> ToolResult:
    """Make a video that starts from a picture, and can end on another (end_image). Priced like
    generate_video. image may be another job: job_…#last continues that shot, even before it is done: order a chain of
    shots in one go."""
    return await _order(arguments, context)


async def generate_from_audio(arguments: GenerateFromAudio, context: Context[AppContext]) -> ToolResult:
    """Make a video that fits a sound: speech moves lips, music sets the pace. The sound is kept; its length is the
    film's, and is charged. Add a picture, a prompt, or both. Priced like generate_video."""
    return await _order(arguments, context)


async def extend_video(arguments: ExtendVideo, context: Context[AppContext]) -> ToolResult:
    """Lengthen a video forward or backward in time, in one piece. video may be another job, even before it is
    done. Charged: the new seconds and the context looked at. Priced like generate_video."""
    return await _order(arguments, context)


async def retake_video(arguments: RetakeVideo, context: Context[AppContext]) -> ToolResult:
    """Redo a section of a video, its picture, its sound or both; the rest stays. The whole video is charged, not
    the section: estimate_cost with video first. video may be another job. Priced like generate_video."""
    return await _order(arguments, context)


async def reframe_video(arguments: ReframeVideo, context: Context[AppContext]) -> ToolResult:
    """Make a vertical, square or other version of a video; its length and sound stay. The whole video is charged by its
    seconds: estimate_cost with video first. video may be another job. Priced like generate_video."""
    return await _order(arguments, context)


async def join_videos(arguments: JoinVideos, context: Context[AppContext]) -> ToolResult:
    """Join videos to one film on this machine, free of charge. Shots need not be done yet: order them and the film in
    one go, then follow it with check_job. Seams of a chain are matched in colour, loudness is made even. To mend one
    shot, order it again and join again."""
    return await _order(arguments, context)


async def check_job(arguments: CheckJob, context: Context[AppContext]) -> CallToolResult:
    """Show a job's state, progress, price, video URL and measured facts, waiting up to wait_seconds for its end. When
    it is done you see a contact sheet: look at it before you show the video or order again. Still running is a normal
    answer: call again."""
    _, jobs = await open_jobs(context)
    found = await jobs.get_rechecked(arguments.job_id, current_caller())
    if not isinstance(found, JobSet):
        return await _checked_job(arguments, context, await _waited_for(arguments, context, found))
    if arguments.frame_at >= 0:
        raise one_take_needed(found, "frame_at")
    return await _checked_set(arguments, context, await _waited_for(arguments, context, found))


async def estimate_cost(arguments: EstimateCost, context: Context[AppContext]) -> CallToolResult:
    """Price a video at every provider without ordering it. Shows which providers can be used now, why not others,
    and what is left of today's budget. Free and instant; call it before a paid tool."""
    _, jobs = await open_jobs(context)
    caller = current_caller()
    plan = await jobs.quotes(arguments, caller)
    estimate = to_estimate(plan, arguments.count, await jobs.budgets(caller), assumed_text(arguments))
    return make_result(estimate_text(estimate, arguments.count), estimate)


async def cancel_job(arguments: CancelJob, context: Context[AppContext]) -> CallToolResult:
    """Cancel a job. One not yet sent costs nothing; one a provider already works on may still be charged: cancel says
    which it was. A film that comes all the same is kept."""
    app_context, jobs = await open_jobs(context)
    found = await jobs.cancel(arguments.job_id, current_caller())
    ref = await app_context.ref(found)
    if ref.cancel is None:
        money = set_money_text(found) if isinstance(found, JobSet) else f"it {money_text(found)}"
        ref = ref.model_copy(update={"next": f"It had ended before; {money}. {ref.next}"})
    return make_result(cancel_text(ref), ref)


async def list_jobs(arguments: ListJobs, context: Context[AppContext]) -> CallToolResult:
    """List your jobs, newest first: find a job_id again, see what is under way. With wait_seconds it answers
    as soon as a live one shown ends."""
    _, jobs = await open_jobs(context)
    page = await jobs.page(arguments, current_caller())
    listed = JobList(jobs=[to_summary(job) for job in page.jobs], next_cursor=page.next_cursor or None)
    return make_result(list_text(listed), listed)


def make_tools(catalog: Catalog, *, show_frames: bool = True) -> list[StrictTool]:
    """The tools in the order of the list, with the choices of the catalog. Those outside CORE are listed where a usable
    provider offers their operation."""
    usable = {row.operation for name in catalog.usable for row in catalog.facts(name).offer}
    table: list[tuple[Any, type[Arguments], type[BaseModel] | None, str, ToolAnnotations]] = [
        (generate_video, GenerateVideo, JobRef, "Generate a video", PAID),
        (animate_image, AnimateImage, JobRef, "Animate a picture", PAID),
        (check_job, CheckJob, None, "Check a job", LOOK),
        (estimate_cost, EstimateCost, Estimate, "Estimate the cost", READ),
        (cancel_job, CancelJob, JobRef, "Cancel a job", STOP),
        (list_jobs, ListJobs, JobList, "List jobs", READ),
        (generate_from_audio, GenerateFromAudio, JobRef, "Generate a video from a sound", PAID),
        (extend_video, ExtendVideo, JobRef, "Extend a video", PAID),
        (retake_video, RetakeVideo, JobRef, "Retake a section", PAID),
        (reframe_video, ReframeVideo, JobRef, "Reframe a video", PAID),
        (join_videos, JoinVideos, JobRef, "Join videos", MADE_HERE),
    ]
    tools = [
        make_tool(
            call,
            arguments,
            result_model,
            title=title,
            annotations=hints,
            choices=_choices(catalog, OPERATIONS.get(arguments)),
            meta=TOOL_META if call is check_job else None,
            is_first=call is generate_video,
        )
        for call, arguments, result_model, title, hints in table
        if arguments in CORE or OPERATIONS[arguments] in usable
    ]
    if show_frames:
        return tools
    return [
        tool.model_copy(update={"description": tool.description.replace(CONTACT_SHEET_SENTENCE, "")}) for tool in tools
    ]


def _choices(catalog: Catalog, operation: str | None) -> dict[str, tuple[str, ...]]:
    """The providers, models and operations to choose from; of one operation, or of all that have a price."""
    rows = [(facts.name, row) for facts in catalog.providers for row in facts.offer]
    rows = [(name, row) for name, row in rows if operation or row.operation != "join"]
    fit = [(name, row) for name, row in rows if operation in (None, row.operation)]
    return {
        "provider": ("auto", *dict.fromkeys(name for name, _ in fit)),
        "model": ("auto", *dict.fromkeys(row.model for _, row in fit)),
        "operation": tuple(dict.fromkeys(row.operation for _, row in rows)),
    }


async def _order(arguments: OrderArguments, context: Context[AppContext]) -> ToolResult:
    began = anyio.current_time()
    app_context, jobs = await open_jobs(context)
    reply = elicitation.read_reply(context)
    ordered = await jobs.order_or_ask(arguments, current_caller(), reply, can_ask=elicitation.can_ask(context))
    while isinstance(ordered, ConfirmationPrompt):
        if elicitation.asks_in_result(context):
            return elicitation.to_result(ordered)
        reply = await elicitation.ask(context, ordered, began + elicitation.MAX_ASKING_S - anyio.current_time())
        ordered = await jobs.order_or_ask(arguments, current_caller(), reply, can_ask=True)
    followed, took_s = ordered.followed, anyio.current_time() - began
    if isinstance(followed, JobSet):
        placed: Job | JobSet = await _answered(arguments, context, followed, took_s)
    else:
        placed = await _answered(arguments, context, followed, took_s)
    return await job_result(app_context, placed, fresh=ordered.fresh)


async def _answered(
    arguments: OrderArguments, context: Context[AppContext], followed: Followed, took_s: float
) -> Followed:
    """After the provider's word on a job, or on each take of a set, if it is soon enough; `took_s` have passed."""
    app_context, jobs = await open_jobs(context)
    if not followed.live:
        return followed
    patience, report = app_context.patiences.of(context.request_context.request), app_context.progress_reporter(context)
    wait_s = max(0.0, patience.asked_s(arguments.wait_seconds) - took_s)
    async with patience.call(context.request_context.request_id):
        if follows_tasks(context.request_context):
            # the task reports the submission; only a wait that the caller asked for is kept
            return await jobs.following.wait(followed, min(wait_s, MAX_CALL_S - took_s), report)
        submission_s = max(0.0, patience.default_s(SUBMISSION_WAIT_S) - took_s)
        return await jobs.following.wait_for_submission(followed, wait_s, report, MAX_CALL_S - took_s, submission_s)


async def _waited_for(arguments: CheckJob, context: Context[AppContext], followed: Followed) -> Followed:
    """At its end, or as it is after wait_seconds."""
    app_context, jobs = await open_jobs(context)
    if not followed.live:
        return followed
    patience, asked_s = app_context.patiences.of(context.request_context.request), arguments.wait_seconds
    async with patience.call(context.request_context.request_id):
        wait_s = patience.default_s(DEFAULT_WAIT_S) if asked_s is None else patience.asked_s(asked_s)
        return await jobs.following.wait(followed, wait_s, app_context.progress_reporter(context))


def _may_show_player(context: Context[AppContext]) -> bool:
    """Whether the host shows the player, or is of an older protocol, which over HTTP does not say so with each call."""
    return context.client_capabilities is None or client_supports_apps(context)


async def _checked_job(arguments: CheckJob, context: Context[AppContext], job: Job) -> CallToolResult:
    app_context, jobs = await open_jobs(context)
    view, shown = await app_context.view(job), None
    if not app_context.settings.show_frames:
        view = without_frames(view) if arguments.frames or arguments.frame_at >= 0 else view
    elif arguments.frame_at >= 0 and not job.live:
        shown = await jobs.keeping.frame(job, arguments.frame_at)
    elif arguments.frames:
        shown = await jobs.keeping.sheet(job)
    meta = None
    if _may_show_player(context):
        meta = player_meta(job, jobs.catalog_of(job.caller), jobs.blocked_reason(job), datetime.now(UTC))
    return make_result(job_text(view, await app_context.status_text(job)), view, shown, meta=meta)


async def _checked_set(arguments: CheckJob, context: Context[AppContext], job_set: JobSet) -> CallToolResult:
    """The picture is shown once all takes have ended; until then each can be looked at by its name."""
    app_context, jobs = await open_jobs(context)
    view, shown = await app_context.set_view(job_set), None
    if not app_context.settings.show_frames:
        view = set_without_frames(view) if arguments.frames else view
    elif arguments.frames and not job_set.live:
        shown = await jobs.keeping.set_sheet(job_set.takes)
    statuses = [await app_context.status_text(take) for take in job_set.takes]
    meta = None
    if _may_show_player(context):
        reasons = filter(None, map(jobs.blocked_reason, job_set.takes))
        meta = set_meta(job_set, next(reasons, ""), datetime.now(UTC))
    return make_result(set_text(view, statuses), view, shown, meta=meta)
