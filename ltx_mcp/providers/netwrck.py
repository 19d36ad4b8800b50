"""Netwrck, a reseller of LTX 2.3: its two pages of LTX text and image to video, read 2026-11-21.

Always response_mode=polling: an inline answer that is cut off leaves no id to ask after. The key travels in bodies
and in the query of the status call, so no address of this provider is written down unredacted. Assumed, because no
page says it: other status words, and that a completed job without a video, or with an error, has failed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.offer import Offer
from ltx_mcp.net.address import find_video_url
from ltx_mcp.net.provider_client import HttpRequest
from ltx_mcp.net.reply import HttpResponse
from ltx_mcp.net.ssrf import READ_S
from ltx_mcp.providers.base import CHECK_S, NO_ORDER, AdapterContext, KeyCheck, PollResult, SubmittedOrder
from ltx_mcp.providers.provider_errors import (
    ErrorReply,
    ask,
    bad_reply,
    filter_code,
    generation_error,
    key_checked,
    no_video,
    place_order,
    read_filtered,
)

FIELDS = {"image": "image_url", "end_image": "end_image_url"}
DONE = frozenset({"completed", "complete", "succeeded", "success", "ok"})
WAITING = frozenset({"in_queue", "queued", "pending", "starting"})
RUNNING = frozenset({"in_progress", "processing", "running"})
FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled", "expired", "timeout"})
MAX_USD = 10_000


def _body(offer: Offer, uris: Mapping[str, str]) -> dict[str, Any]:
    return {
        "prompt": offer.prompt,
        "duration": int(offer.duration),
        "resolution": offer.resolution,
        "aspect_ratio": offer.aspect_ratio,
        "fps": offer.fps,
        "generate_audio": offer.generate_audio,
        "response_mode": "polling",
        **{FIELDS[role]: uri for role, uri in uris.items()},
    }


def _read_error(reply: HttpResponse) -> ErrorReply:
    body = reply.fields
    return read_filtered(reply, str(body.get("error") or body.get("detail") or body.get("message") or reply.text))


def _charged(context: AdapterContext, body: Mapping[str, Any]) -> Decimal | None:
    """The server's own figure in USD; its credits where it gives no other."""
    per_credit = context.facts.usd_per_credit or Decimal()
    for name, usd in (("cost_usd", Decimal(1)), ("credits_charged", per_credit)):
        try:
            amount = Decimal(str(body[name])) * usd
        except (KeyError, ArithmeticError):
            continue
        if amount.is_finite() and 0 <= amount < MAX_USD:
            return amount
    return None


def _video_urls(body: Mapping[str, Any]) -> list[Any]:
    """What stands at the places where the video's address may stand."""
    parts = [each for each in (body.get("result"), body) if isinstance(each, dict)]
    videos = [part["video"] for part in parts if part.get("video")]
    urls = [video.get("url") if isinstance(video, dict) else video for video in videos]
    return [*urls, *(part.get(name) for name in ("url", "video_url") for part in parts)]


def _read_job(context: AdapterContext, body: Any) -> PollResult:
    """One status of a job. A word that is in no table is a failed poll, never a failed job."""
    if not isinstance(body, dict):
        raise bad_reply(context, str(body))
    status = str(body.get("status", "in_progress")).lower()
    if status in WAITING:
        return PollResult("waiting")
    if status in RUNNING:
        return PollResult("running")
    if status in DONE and not body.get("error"):
        urls = _video_urls(body)
        if url := find_video_url(body, *urls, is_loopback=context.client.is_loopback):
            return PollResult("done", result_url=url, charged_usd=_charged(context, body))
        if any(urls):
            raise no_video(context, body, *urls)
    if status in DONE | FAILED:
        words = str(body.get("error") or f"status {status} without a film")
        code = filter_code(words) or ErrorCode.UNAVAILABLE
        return PollResult("failed", problem=generation_error(context, code, words))
    raise bad_reply(context, f"status {status!r}")


class Netwrck:
    """Orders in polling mode."""

    asked = "api"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._api = f"{context.urls['api']}/api"

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Place the order. Any 2xx with a job id is a yes; the figures it gives are what will be charged on success."""
        body = {"api_key": self._context.key, **_body(offer, uris)}
        call = HttpRequest("POST", f"{self._api}/{offer.endpoint}", body=body)
        placed = await place_order(self._context, call, ("job_id", "jobId"), _read_error)
        return SubmittedOrder(self.remote_of(offer, placed.id), charged_usd=_charged(self._context, placed.part))

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """A job is found by its id alone."""
        return {"job_id": remote_id}

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Ask about the job."""
        reply = await ask(self._context, self._status_call(remote["job_id"]), _read_error)
        return _read_job(self._context, reply.json)

    async def check(self) -> KeyCheck:
        """Ask about a job that nobody ordered. No page says how that is answered: any JSON object is accepted."""
        reply = await self._context.client.request(self._status_call(NO_ORDER, CHECK_S))
        return key_checked(self._context, reply, _read_error(reply).words, own=isinstance(reply.json, dict))

    def _status_call(self, job_id: str, read_s: float = READ_S) -> HttpRequest:
        url, key = f"{self._api}/fal/status/{quote(job_id, safe='')}", {"api_key": self._context.key}
        return HttpRequest("GET", url, params=key, read_s=read_s)


make_adapter = Netwrck
