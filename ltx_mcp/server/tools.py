"""The tools: one short function each, which turns arguments into a call of Jobs and a job into an answer.

Docstrings are product text: a model reads them to decide which tool to call.
"""

import base64
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ContentBlock, ImageContent, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import BaseModel

from ltx_mcp.domain.consent import Question
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.plan import Market
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.domain.request import (
    AnimateImage,
    CancelJob,
    CheckJob,
    EstimateCost,
    GenerateVideo,
    ListJobs,
    PaidArguments,
)
from ltx_mcp.server import asking
from ltx_mcp.server.arguments import ContractTool, make_tool
from ltx_mcp.server.boundary import refusal
from ltx_mcp.server.desk import Desk, desk_of
from ltx_mcp.server.views import Change, Estimate, JobList, JobRef, JobView, Refused, to_estimate, to_row

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
LOOK = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
PAID = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
STOP = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
MOST_S = 50.0
"""How long a call may take that asks a person, orders, and waits for the provider's word."""


async def generate_video(arguments: GenerateVideo, context: Context[Desk]) -> CallToolResult | InputRequiredResult:
    """Make a video from a text prompt. Places one paid order (free for provider local, a preview) and answers at
    once with a job_id; follow it with check_job. Never repeat it because an answer is late: the job survives
    time-outs and restarts. Price first: estimate_cost. To start from a picture use animate_image."""
    return await _order(arguments, context)


async def animate_image(arguments: AnimateImage, context: Context[Desk]) -> CallToolResult | InputRequiredResult:
    """Make a video that starts from a picture, and can end on another (end_image). Ordered, priced and followed like
    generate_video. image may be another job: job_…#last continues that shot, even before it is done, so a chain of
    shots can be ordered in one go."""
    return await _order(arguments, context)


async def check_job(arguments: CheckJob, context: Context[Desk]) -> CallToolResult:
    """Show a job's state, progress, price, video URL and measured facts, waiting up to wait_seconds for its end. When
    it is done you see a contact sheet: look at it before you show the video or order again. Still running is a normal
    answer: call again."""
    desk, jobs = desk_of(context), await desk_of(context).jobs()
    job = await jobs.look(arguments.job_id, desk.caller(context))
    if job.live:
        job = await jobs.wait(job, arguments.wait_seconds, desk.teller(context))
    view = await desk.view(job)
    content: list[ContentBlock] = [TextContent(type="text", text=_job_text(view))]
    if arguments.frame_at >= 0:
        shown = await jobs.frame(job, arguments.frame_at)
        content.append(_image(shown.data, shown.mime_type))
    elif arguments.frames and (sheet := await jobs.sheet(job)):
        content.append(_image(sheet.data, sheet.mime_type))
    return CallToolResult(content=content, structured_content=view.to_wire())


async def estimate_cost(arguments: EstimateCost, context: Context[Desk]) -> CallToolResult:
    """Price a video at every provider without ordering: what it costs, which providers can be used now and why others
    cannot, and what is left of today's budget. Free and instant; call it before a paid tool."""
    jobs = await desk_of(context).jobs()
    estimate = to_estimate(jobs.quotes(arguments), arguments.count, await jobs.budget())
    return _answer(_estimate_text(estimate), estimate)


async def cancel_job(arguments: CancelJob, context: Context[Desk]) -> CallToolResult:
    """Cancel a job. One not yet sent costs nothing; one a provider already works on may still be charged: cancel says
    which it was. A film that comes all the same is kept."""
    desk, jobs = desk_of(context), await desk_of(context).jobs()
    job = await jobs.cancel(arguments.job_id, desk.caller(context))
    ref = await desk.ref(job)
    return _answer(f"{ref.job_id} {ref.state}" + (f" ({ref.cancel})" if ref.cancel else "") + f". {ref.next}", ref)


async def list_jobs(arguments: ListJobs, context: Context[Desk]) -> CallToolResult:
    """List your jobs, newest first: find a job_id again, or see what is still under way. With wait_seconds it answers
    as soon as one of the live ones shown ends."""
    desk, jobs = desk_of(context), await desk_of(context).jobs()
    page = await jobs.page(arguments, desk.caller(context))
    listed = JobList(jobs=[to_row(job) for job in page.jobs], next_cursor=page.next_cursor or None)
    lines = [f"{row.job_id} {row.state} {row.provider}: {row.prompt}" for row in listed.jobs]
    more = ["More: pass next_cursor as cursor."] if listed.next_cursor else []
    return _answer("\n".join([*lines, *more]) or "No jobs.", listed)


def make_tools(market: Market) -> list[ContractTool]:
    """The core tools, in the order they are listed, with the choices the facts give."""
    rows = [row for facts in market.providers for row in facts.offer]
    choices = {
        "provider": ("auto", *(facts.name for facts in market.providers)),
        "model": ("auto", *dict.fromkeys(row.model for row in rows)),
        "operation": tuple(dict.fromkeys(row.operation for row in rows)),
    }
    table: list[tuple[Any, type[BaseModel], type[BaseModel], str, ToolAnnotations]] = [
        (generate_video, GenerateVideo, JobRef, "Generate a video", PAID),
        (animate_image, AnimateImage, JobRef, "Animate a picture", PAID),
        (check_job, CheckJob, JobView, "Check a job", LOOK),
        (estimate_cost, EstimateCost, Estimate, "Estimate the cost", READ),
        (cancel_job, CancelJob, JobRef, "Cancel a job", STOP),
        (list_jobs, ListJobs, JobList, "List jobs", READ),
    ]
    return [
        make_tool(call, arguments, answer, title=title, annotations=hints, choices=choices)
        for call, arguments, answer, title, hints in table
    ]


async def _order(arguments: PaidArguments, context: Context[Desk]) -> CallToolResult | InputRequiredResult:
    began = anyio.current_time()
    desk, jobs = desk_of(context), await desk_of(context).jobs()
    caller, can_ask, answer = desk.caller(context), asking.can_ask(context), asking.read_answer(context)
    ordered = await jobs.order(arguments, caller, answer, can_ask=can_ask)
    while isinstance(ordered, Question):
        if asking.asks_by_answer(context):
            return asking.to_result(ordered)
        answer = await asking.ask(context, ordered, began + asking.ASK_S - anyio.current_time())
        ordered = await jobs.order(arguments, caller, answer, can_ask=answer is not None)
    took_s = anyio.current_time() - began
    job = ordered.job
    if job.live:
        wait_s = max(0.0, arguments.wait_seconds - took_s)
        job = await jobs.word(job, wait_s, desk.teller(context), MOST_S - took_s)
    ref = await desk.ref(job, fresh=ordered.fresh)
    if job.state in (State.FAILED, State.CANCELLED) and job.error is not None:
        return refusal(job.error.code, f"{job.id} {job.state}. {job.error.message} {ref.next}", ref.to_wire())
    return _answer(_ref_text(ref, job), ref)


def _answer(text: str, answer: Estimate | JobList | JobRef) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=answer.to_wire())


def _image(data: bytes, mime_type: str) -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type=mime_type)


def _ref_text(ref: JobRef, job: Job) -> str:
    price = to_text(from_micro(job.cost_micro))
    first = f"{ref.job_id} {ref.state} at {ref.provider} ({ref.model}), {price} USD."
    trouble = ref.error.message if ref.error else ""
    return "\n".join(filter(None, (first, ref.video_url, trouble, _changes_text(ref.adjustments), ref.next)))


def _job_text(view: JobView) -> str:
    lines = [f"{view.job_id} {view.state}" + (f", {view.progress:.0f} %" if view.progress and not view.width else "")]
    if view.width:
        sound = "with sound" if view.has_audio else "silent"
        lines[0] += f": {view.duration:g} s, {view.width}x{view.height}, {view.fps:g} fps, {sound}."
    if view.charged_usd is not None and view.charged_usd != view.cost_usd:
        lines.append(f"Charged {view.charged_usd:g} USD; quoted {view.cost_usd:g}.")
    trouble = f"{view.error.code}: {view.error.message}" if view.error else ""
    return "\n".join(filter(None, (*lines, view.video_url or trouble, _changes_text(view.adjustments), view.next)))


def _changes_text(changes: list[Change]) -> str:
    told = ", ".join(f"{each.field} {each.asked} -> {each.got}" for each in changes)
    return f"Changed: {told}." if told else ""


def _estimate_text(estimate: Estimate) -> str:
    lines = [
        f"{quote.provider} {quote.model}: {quote.cost_usd:g} USD each, {quote.total_usd:g} USD in all"
        + (f", {quote.credits} credits each." if quote.credits else ".")
        + (f" Not now: {quote.why_not}" if quote.why_not else "")
        for quote in estimate.quotes[:4]
    ]
    return "\n".join(lines or [_refused_text(each) for each in estimate.refused[:3]]) or "Nobody offers this."


def _refused_text(refused: Refused) -> str:
    return f"{refused.provider} {refused.model}: {refused.reason}"
