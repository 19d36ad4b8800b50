"""LTX, Lightricks' own API: its reference page of v1 text-to-video, and docs.ltx.io (async jobs, errors, inputs) as of
2026-09. v2 answers an order with a job to poll; v1 answers with the video itself, in one long call.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.media.messages import ReportProgress
from ltx_mcp.net.address import find_video_url
from ltx_mcp.net.flow import Bounds
from ltx_mcp.net.provider_client import HELD_WINDOW_S, HttpRequest
from ltx_mcp.net.reply import HttpResponse, is_text, is_video
from ltx_mcp.providers.base import (
    CHECK_S,
    NO_ORDER,
    AdapterContext,
    DeferredVideo,
    KeyCheck,
    PollResult,
    SubmittedOrder,
    Uploaded,
    read_id,
    to_number,
)
from ltx_mcp.providers.provider_errors import (
    ErrorReply,
    ask,
    bad_reply,
    generation_error,
    key_checked,
    no_video,
    place_order,
    submission_error,
    submission_unknown,
)

FIELDS = {"image": "image_uri", "end_image": "last_frame_uri", "audio": "audio_uri", "video": "video_uri"}
GENERATED = ("text_to_video", "image_to_video")
"""Operations that must have a prompt."""
ERROR_CODES = {
    "authentication_error": ErrorCode.KEY_REJECTED,
    "permission_error": ErrorCode.KEY_REJECTED,
    "insufficient_funds_error": ErrorCode.OUT_OF_CREDIT,
    "content_filtered_error": ErrorCode.CONTENT_REFUSED,
    "invalid_request_error": ErrorCode.REJECTED,
    "not_found_error": ErrorCode.UNAVAILABLE,
    "concurrency_limit_error": ErrorCode.RATE_LIMITED,
    "rate_limit_error": ErrorCode.RATE_LIMITED,
}
REJECTING = {503: {"service_unavailable", "service_unavailable_error"}, 529: {"overloaded_error"}}
"""LTX's own words for not having accepted the order; the same status from a gateway is no definite rejection."""
SLOT_S = 90.0  # a slot has been seen to take more than 30 s
VIDEO_S = 1200.0


def _body(offer: Offer, uris: Mapping[str, str]) -> dict[str, Any]:
    """The order's JSON. A field that an operation does not have is not sent, nor one that was left empty."""
    fields = {"model": offer.model.replace(".", "-")} | {FIELDS[role]: uri for role, uri in uris.items()}
    if offer.prompt or offer.operation in GENERATED:
        fields["prompt"] = offer.prompt
    return fields | _own_fields(offer)


def _own_fields(offer: Offer) -> dict[str, Any]:
    size, section = f"{offer.width}x{offer.height}", to_number(offer.duration)
    camera = {} if offer.camera_motion == "none" else {"camera_motion": offer.camera_motion}
    match offer.operation:
        case "audio_to_video":
            return {"resolution": size, "fps": offer.fps, **camera}
        case "extend":
            context = {} if offer.context is None else {"context": to_number(offer.context)}
            return {"duration": section, "mode": offer.mode, **context}
        case "retake":
            start = to_number(offer.start_time or Decimal())
            return {"start_time": start, "duration": section, "mode": offer.mode, "resolution": size}
        case "reframe":
            return {"resolution": size}
    length = None if offer.auto_duration else section
    return {"duration": length, "resolution": size, "fps": offer.fps, "generate_audio": offer.generate_audio, **camera}


def _error_of(body: Any) -> tuple[str, str]:
    """Type and message of LTX's own error; empty where it is not one."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("type", "")), str(error.get("message", ""))


def _read_error(reply: HttpResponse) -> ErrorReply:
    kind, words = _error_of(reply.json)
    sure = True if kind in REJECTING.get(reply.status_code, ()) else None
    return ErrorReply(words or reply.text, ERROR_CODES.get(kind), sure)


def _read_job(context: AdapterContext, job: Any) -> PollResult:
    """One status of a v2 job. Any address in the result may be the video's, `video_url` first."""
    raw = job.get("status") if isinstance(job, dict) else None
    status = raw.lower() if isinstance(raw, str) else None
    if status in ("pending", "processing"):
        return PollResult("waiting" if status == "pending" else "running")
    if status == "failed":
        kind, words = _error_of(job)
        code = ErrorCode.CONTENT_REFUSED if kind == "content_filtered_error" else ErrorCode.UNAVAILABLE
        return PollResult("failed", problem=generation_error(context, code, words))
    if status != "completed":
        raise bad_reply(context, f"status {raw!r}")
    result = job.get("result")
    named = result.get("video_url") if isinstance(result, dict) else None
    if not (url := find_video_url(result, named, is_loopback=context.client.is_loopback)):
        raise no_video(context, result, named)
    return PollResult("done", result_url=url)


class Ltx:
    """v2: an order is accepted with an id, and polled under the endpoint it was sent to."""

    asked = "api"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = context.client
        self._api = context.urls["api"]
        self._headers = {"Authorization": f"Bearer {context.key}"}
        self.account = context.account

    async def upload(self, path: Path, mime: str) -> Uploaded:
        """Ask for a slot, then put the bytes there with every header it wants and no key."""
        reply = await self._client.request(HttpRequest("POST", f"{self._api}/v1/upload", self._headers, read_s=SLOT_S))
        slot = reply.fields
        url, uri = read_id(slot.get("upload_url")), read_id(slot.get("storage_uri"))
        required = slot.get("required_headers", {})
        if not reply.ok:
            raise submission_error(self._context, reply, ErrorReply(_read_error(reply).words, sure=True))
        if not url or not uri or not isinstance(required, dict):
            raise submission_error(self._context, reply, ErrorReply(reply.text, ErrorCode.BAD_REPLY, sure=True))
        headers = {"Content-Type": mime, **{str(name): str(value) for name, value in required.items()}}
        await self._client.put(url, path, headers)
        return Uploaded(uri, self._context.now() + timedelta(seconds=self._context.facts.upload_lives_s or 0))

    async def check(self) -> KeyCheck:
        """Ask about a v2 job that nobody ordered; the key is the same for both versions."""
        url = f"{self._api}/v2/{self._context.facts.offer[0].endpoint}/{NO_ORDER}"
        reply = await self._client.request(HttpRequest("GET", url, self._headers, read_s=CHECK_S))
        own = bool(_error_of(reply.json)[0]) or "status" in reply.fields
        return key_checked(self._context, reply, _read_error(reply).words, own=own)

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Place the order. Any 2xx with an id is a yes."""
        call = HttpRequest("POST", f"{self._api}/v2/{offer.endpoint}", self._headers, body=_body(offer, uris))
        placed = await place_order(self._context, call, ("id", "job_id"), _read_error)
        return SubmittedOrder(self.remote_of(offer, placed.id))

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """A job is found under the endpoint it was sent to."""
        return {"endpoint": offer.endpoint, "id": remote_id}

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Ask about the job."""
        url = f"{self._api}/v2/{remote['endpoint']}/{quote(remote['id'], safe='')}"
        reply = await ask(self._context, HttpRequest("GET", url, self._headers), _read_error)
        return _read_job(self._context, reply.json)


def _is_video(head: bytes, label: str) -> bool:
    """By its bytes; by its label only where they say nothing."""
    labelled = label.lower().strip().startswith(("video/", "application/octet-stream", "binary/octet-stream"))
    return is_video(head) or (labelled and bool(head) and not is_text(head))


class LtxV1:
    """v1: the answer to the order is the video. A connection that dies before its end leaves the outcome unknown.
    Uploads and the check of the key are those of v2."""

    asked = Ltx.asked

    def __init__(self, context: AdapterContext) -> None:
        v2 = Ltx(context)
        self.account, self.upload, self.check = v2.account, v2.upload, v2.check
        self._context = context
        self._url = f"{context.urls['api']}/v1"
        self._headers = {"Authorization": f"Bearer {context.key}"}

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> DeferredVideo:
        """Place the order and wait for the head of its answer, which comes when the video is made."""
        url = f"{self._url}/{offer.endpoint}"
        call = HttpRequest("POST", url, self._headers, body=_body(offer, uris), read_s=VIDEO_S)
        stack = AsyncExitStack()
        held = await stack.enter_async_context(self._context.client.send_once_streamed(call))
        label = held.headers.get("content-type", "")
        if not 200 <= held.status_code < 300 or not _is_video(await held.head(VIDEO_S), label):
            reply = await held.read()
            await stack.aclose()
            if reply.ok:
                raise submission_unknown(self._context, reply)
            raise submission_error(self._context, reply, _read_error(reply))

        bounds = Bounds(offer.max_bytes, window_s=HELD_WINDOW_S)

        async def write(path: Path, report: ReportProgress) -> tuple[Adjustment, ...]:
            async with stack:
                await held.save(path, bounds, report)
            return ()

        return DeferredVideo(write)


def make_adapter(context: AdapterContext) -> Ltx | LtxV1:
    """The adapter of the version that LTX_MCP_LTX_API names."""
    return LtxV1(context) if context.options.get("api") == "v1" else Ltx(context)
