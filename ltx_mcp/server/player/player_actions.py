"""The player's data beside check_job's result: the prompt, and possible further orders with their prices; pure.

The page decides nothing about tools, arguments or prices: it fills in a prompt and a key, and calls the tool.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ltx_mcp.domain.arguments import OPERATIONS, AnimateImage
from ltx_mcp.domain.job import Job, State, input_of
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.join import FilmSection, place_sections
from ltx_mcp.domain.joined_format import joined_videos
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.price import from_micro, to_micro, to_wire
from ltx_mcp.domain.request import Input
from ltx_mcp.presentation.result_text import order_text
from ltx_mcp.presentation.suggestions import Suggestion, longer, priced

KEY = "ltx-mcp/player"
"""The key in the `_meta` of check_job's result."""

TOOLS = {
    "text_to_video": "generate_video",
    "image_to_video": "animate_image",
    "audio_to_video": "generate_from_audio",
    "extend": "extend_video",
    "retake": "retake_video",
    "reframe": "reframe_video",
    "join": "join_videos",
}
LONGER, NEXT_SHOT = "Make the film longer", "The next shot, from the last frame on"
"""Titles of the form of the second button."""
REPEATABLE = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
"""States after which the same order is offered again: never after an unknown outcome."""


def player_meta(job: Job, catalog: Catalog, blocked_reason: str, now: datetime) -> dict[str, Any]:
    """The `_meta` of check_job's result. `blocked_reason`: why no worker can take an active job."""
    notes = {
        "prompt": job.prompt,
        "elapsed_s": _elapsed_s(job, now),
        "waits_for": job.blocked_by if job.live else "",
        "hindrance": blocked_reason,
        "again": _again(job, catalog),
        "extend": _extend(job, catalog),
        "shots": _shots(job),
    }
    return {KEY: {name: value for name, value in notes.items() if value}}


def set_meta(job_set: JobSet, blocked_reason: str, now: datetime) -> dict[str, Any]:
    """The `_meta` for a set. What can be ordered next is told of each take, when it is looked at alone; `sizes` are
    those of the videos, of which only small ones come through the host."""
    notes = {
        "prompt": job_set.takes[0].prompt,
        "elapsed_s": _elapsed_s(job_set, now),
        "waits_for": next((take.blocked_by for take in job_set.takes if take.live and take.blocked_by), ""),
        "hindrance": blocked_reason,
        "sizes": {take.id: take.film.size_bytes for take in job_set.takes if take.film},
    }
    return {KEY: {name: value for name, value in notes.items() if value}}


def _elapsed_s(followed: Job | JobSet, now: datetime) -> float:
    """How long it took, or has taken so far."""
    ended = followed.finished_at or now
    return round(max(0.0, (ended - followed.created_at).total_seconds()), 1)


def _again(job: Job, catalog: Catalog) -> dict[str, Any] | None:
    """The same order again; None if its inputs cannot be given as arguments."""
    if job.state not in REPEATABLE:
        return None
    # bytes that came with the call can only be given as frames of the resulting video
    named = tuple(filter(None, (_nameable(given, job) for given in job.inputs)))
    if len(named) < len(job.inputs):
        return None
    media = {
        given.role: f"{given.job_id}#{given.frame_position}" if given.frame_position else given.job_id
        for given in named
    }
    model = next(model for model, operation in OPERATIONS.items() if operation == job.operation)
    return _take(TOOLS[job.operation], model, _values(job) | media, named, catalog)


def _extend(job: Job, catalog: Catalog) -> dict[str, Any] | None:
    """An extension of the video, by the same provider if possible; else a video from its last frame."""
    if job.state is not State.SUCCEEDED or job.film is None or job.offer.join:
        return None
    video = input_of(job, "video")
    for provider in (job.offer.provider, *(["auto"] if catalog.is_real else [])):
        if more := longer(video, catalog, prompt=job.prompt, provider=provider):
            also = f"With all of the film as context: {more.with_full_context.price}." if more.with_full_context else ""
            return _to_action("extend_video", more.priced, LONGER) | {"also": also}
    last = input_of(job, "image", "last")
    return _take("animate_image", AnimateImage, _values(job) | {"image": f"{job.id}#last"}, (last,), catalog, NEXT_SHOT)


def _shots(job: Job) -> list[dict[str, Any]]:
    """Where each shot of a joined film begins and how long it is shown, in seconds, and the job that made it."""
    join, fps = job.offer.join, job.offer.fps
    if join is None or job.state is not State.SUCCEEDED:
        return []
    videos = joined_videos(job.inputs)
    sections = [
        FilmSection(given.start, given.duration if given.end is None else given.end, bool(given.continues))
        for given in videos
    ]
    placed = place_sections(sections, join.settings, fps)
    return [
        {
            "at": round(where.at / fps, 3),
            "seconds": round(where.frames / fps, 3),
            "title": clip.title,
            "job_id": given.job_id,
        }
        for given, clip, where in zip(videos, join.clips, placed, strict=True)
    ]


def _values(job: Job) -> dict[str, Any]:
    """Exactly what was ordered, from the same provider, so that the price is exact."""
    offer = job.offer
    seconds = {"duration": offer.duration, "start_time": offer.start_time, "context": offer.context}
    return {
        "prompt": job.prompt,
        "resolution": offer.resolution,
        "aspect_ratio": offer.aspect_ratio,
        "fps": offer.fps,
        "generate_audio": offer.generate_audio,
        "camera_motion": offer.camera_motion,
        "mode": offer.mode,
        "provider": offer.provider,
        "model": offer.model,
        **{name: float(value) for name, value in seconds.items() if value is not None},
        **({"duration": "auto"} if offer.auto_duration else {}),
    }


def _take(
    tool: str,
    model: type[Any],
    values: dict[str, Any],
    inputs: Sequence[Input],
    catalog: Catalog,
    title: str = "Another take",
) -> dict[str, Any] | None:
    """A tool with all its arguments but the prompt and the key, capped at its price; None if nobody offers it."""
    fields = {name: value for name, value in values.items() if name in model.model_fields}
    found = priced(model, fields, inputs, catalog)
    return None if found is None else _to_action(tool, found, title)


def _to_action(tool: str, found: Suggestion, title: str) -> dict[str, Any]:
    offer = found.offer
    max_usd = _usd(offer.at_most_usd)
    given = {name: value for name, value in found.given.items() if name != "prompt"}
    return {
        "tool": tool,
        "arguments": given | {"max_cost_usd": max_usd},
        "title": title,
        "what": f"{tool}: {order_text(offer)}.",
        "cost_usd": _usd(offer.cost_usd),
        "most_usd": max_usd,
    }


def _usd(amount: Decimal) -> float:
    """An amount as a cap: never below the price."""
    return to_wire(from_micro(to_micro(amount)))


def _nameable(given: Input, job: Job) -> Input | None:
    if given.job_id:
        return given
    if given.kind != "image" or job.operation != "image_to_video":
        return None
    if job.film is None or job.state is not State.SUCCEEDED:
        return None
    return input_of(job, given.role, "last" if given.role == "end_image" else "first")
