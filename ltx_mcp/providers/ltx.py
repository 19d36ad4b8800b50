"""LTX, Lightricks' own API: its reference page of v1 text-to-video, and docs.ltx.io (async jobs, errors, inputs) as of
2026-09. v2 answers an order with a job to ask after; v1 answers with the film itself, in one long call.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.media.messages import ReportProgress
from ltx_mcp.net.address import find_film
from ltx_mcp.net.flow import Bounds
from ltx_mcp.net.provider_client import HELD_WINDOW_S, HttpRequest, HttpResponse
from ltx_mcp.net.reply import is_film, is_text
from ltx_mcp.providers.base import (
    CHECK_S,
    NO_ORDER,
    AdapterContext,
    DeferredVideo,
    KeyCheck,
    PollResult,
    SubmittedOrder,
    Uploaded,
    find_id,
    read_word,
    to_number,
)
from ltx_mcp.providers.provider_errors import (
    bad_reply,
    generation_error,
    key_checked,
    no_film,
    poll_error,
    submission_error,
    submission_unknown,
)

FIELDS = {"image": "image_uri", "end_image": "last_frame_uri", "audio": "audio_uri", "video": "video_uri"}
GENERATED = ("text_to_video", "image_to_video")
"""Operations that must have a prompt."""
KINDS = {
    "authentication_error": ErrorCode.KEY_REJECTED,
    "permission_error": ErrorCode.KEY_REJECTED,
    "insufficient_funds_error": ErrorCode.OUT_OF_CREDIT,
    "content_filtered_error": ErrorCode.CONTENT_REFUSED,
    "invalid_request_error": ErrorCode.REJECTED,
    "not_found_error": ErrorCode.UNAVAILABLE,
    "concurrency_limit_error": ErrorCode.RATE_LIMITED,
    "rate_limit_error": ErrorCode.RATE_LIMITED,
}
TURNED_AWAY = {503: {"service_unavailable", "service_unavailable_error"}, 529: {"overloaded_error"}}
"""LTX's own words for not having taken the order; the same status from a gateway is not a sure no."""
SLOT_S, PUT_S = 90.0, 300.0  # a slot has been seen to take more than 30 s
FILM_S = 1200.0


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
    length = None if offer.auto_duration else section
    return {"duration": length, "resolution": size, "fps": offer.fps, "generate_audio": offer.generate_audio, **camera}


def _error_of(body: Any) -> tuple[str, str]:
    """Type and message of LTX's own error; empty where it is not one."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("type", "")), str(error.get("message", ""))


def _refused(context: AdapterContext, reply: HttpResponse) -> ProviderError:
    kind, words = _error_of(reply.json)
    sure = True if kind in TURNED_AWAY.get(reply.status_code, ()) else None
    return submission_error(context, reply, words or reply.text, KINDS.get(kind), sure=sure)


def _read_job(context: AdapterContext, job: Any) -> PollResult:
    """One state of a v2 job. Of the result whatever is an address is looked at, `video_url` first."""
    said = job.get("status") if isinstance(job, dict) else None
    status = said.lower() if isinstance(said, str) else None
    if status in ("pending", "processing"):
        return PollResult("waiting" if status == "pending" else "running")
    if status == "failed":
        kind, words = _error_of(job)
        code = ErrorCode.CONTENT_REFUSED if kind == "content_filtered_error" else ErrorCode.UNAVAILABLE
        return PollResult("failed", problem=generation_error(context, code, words))
    if status != "completed":
        raise bad_reply(context, f"status {said!r}")
    result = job.get("result")
    named = result.get("video_url") if isinstance(result, dict) else None
    if not (url := find_film(result, named, near=context.client.near)):
        raise no_film(context, result, named)
    return PollResult("done", result_url=url)


class Uploading:
    """What both versions share: upload slots, and what is asked of the key."""

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
        slot = reply.json if isinstance(reply.json, dict) else {}
        url, uri = read_word(slot.get("upload_url")), read_word(slot.get("storage_uri"))
        wanted = slot.get("required_headers", {})
        if not reply.ok:
            raise submission_error(self._context, reply, _error_of(reply.json)[1] or reply.text, sure=True)
        if not url or not uri or not isinstance(wanted, dict):
            raise submission_error(self._context, reply, reply.text, ErrorCode.BAD_REPLY, sure=True)
        headers = {"Content-Type": mime, **{str(name): str(value) for name, value in wanted.items()}}
        await self._client.put(url, path, headers, read_s=PUT_S)
        return Uploaded(uri, self._context.now() + timedelta(seconds=self._context.facts.upload_lives_s or 0))

    async def check(self) -> KeyCheck:
        """Ask after a v2 job that nobody ordered; the key is the same for both versions."""
        url = f"{self._api}/v2/{self._context.facts.offer[0].endpoint}/{NO_ORDER}"
        reply = await self._client.request(HttpRequest("GET", url, self._headers, read_s=CHECK_S))
        kind, words = _error_of(reply.json)
        own = bool(kind) or (isinstance(reply.json, dict) and "status" in reply.json)
        return key_checked(self._context, reply, words or reply.text, own=own)


class Ltx(Uploading):
    """v2: an order is accepted with an id, and asked after under the endpoint it was sent to."""

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Place the order. Any 2xx with an id is a yes."""
        url = f"{self._api}/v2/{offer.endpoint}"
        reply = await self._client.send_once(HttpRequest("POST", url, self._headers, body=_body(offer, uris)))
        if not reply.ok:
            raise _refused(self._context, reply)
        _, job_id = find_id(reply.json, "id", "job_id")
        if not job_id:
            raise submission_unknown(self._context, reply)
        return SubmittedOrder(self.remote_of(offer, job_id))

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """A job is asked after under the endpoint it was sent to."""
        return {"endpoint": offer.endpoint, "id": remote_id}

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Look at the job."""
        url = f"{self._api}/v2/{remote['endpoint']}/{quote(remote['id'], safe='')}"
        reply = await self._client.request(HttpRequest("GET", url, self._headers))
        if not reply.ok:
            raise poll_error(self._context, reply, _error_of(reply.json)[1])
        return _read_job(self._context, reply.json)


def _is_film(head: bytes, label: str) -> bool:
    """By its bytes; by its label only where they say nothing."""
    labelled = label.lower().strip().startswith(("video/", "application/octet-stream", "binary/octet-stream"))
    return is_film(head) or (labelled and bool(head) and not is_text(head))


class LtxV1(Uploading):
    """v1: the answer to the order is the film. A connection that dies before its end leaves the outcome unknown."""

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> DeferredVideo:
        """Place the order and wait for the head of its answer, which comes when the film is made."""
        url = f"{self._api}/v1/{offer.endpoint}"
        call = HttpRequest("POST", url, self._headers, body=_body(offer, uris), read_s=FILM_S)
        stack = AsyncExitStack()
        held = await stack.enter_async_context(self._client.send_once_streamed(call))
        if not 200 <= held.status_code < 300 or not _is_film(
            await held.head(FILM_S), held.headers.get("content-type", "")
        ):
            reply = await held.read()
            await stack.aclose()
            raise _refused(self._context, reply) if not reply.ok else submission_unknown(self._context, reply)

        bounds = Bounds(offer.most_bytes, window_s=HELD_WINDOW_S)

        async def write(path: Path, tell: ReportProgress) -> tuple[Adjustment, ...]:
            async with stack:
                await held.save(path, bounds, tell)
            return ()

        return DeferredVideo(write)


def make_adapter(context: AdapterContext) -> Ltx | LtxV1:
    """The adapter of the version that LTX_MCP_LTX_API names."""
    return LtxV1(context) if context.options.get("api") == "v1" else Ltx(context)
