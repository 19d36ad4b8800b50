"""Netwrck, a reseller of LTX 2.3: its two pages of LTX text and image to video, read 2026-11-21.

Always response_mode=polling: an inline answer that is cut off leaves no id to ask after. The key travels in bodies
and in the query of the status call, so no address of this provider is written down unredacted. Assumed, because no
page says it: other status words, and that a completed job without a film, or with an error, has failed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.offer import Offer
from ltx_mcp.net.address import find_film
from ltx_mcp.net.provider_client import HttpRequest, HttpResponse
from ltx_mcp.providers.base import CHECK_S, NO_ORDER, AdapterContext, KeyCheck, PollResult, SubmittedOrder, find_id
from ltx_mcp.providers.provider_errors import (
    bad_reply,
    generation_error,
    key_checked,
    no_film,
    poll_error,
    submission_error,
    submission_unknown,
)

FIELDS = {"image": "image_url", "end_image": "end_image_url"}
DONE = frozenset({"completed", "complete", "succeeded", "success", "ok"})
WAITING = frozenset({"in_queue", "queued", "pending", "starting"})
RUNNING = frozenset({"in_progress", "processing", "running"})
FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled", "expired", "timeout"})
MAX_USD = 10_000
FILTERS = ("content policy", "content_policy", "moderation", "nsfw", "safety")


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


def _error_text(reply: HttpResponse) -> str:
    body = reply.json if isinstance(reply.json, dict) else {}
    return str(body.get("error") or body.get("detail") or body.get("message") or reply.text)


def _code(words: str) -> ErrorCode | None:
    """A filter's refusal, told apart from a malformed order by its words: no page gives it a status of its own."""
    return ErrorCode.CONTENT_REFUSED if any(word in words.lower() for word in FILTERS) else None


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


def _named(body: Mapping[str, Any]) -> list[Any]:
    """What stands at the places where the film's address may stand."""
    holders = [each for each in (body.get("result"), body) if isinstance(each, dict)]
    videos = [each["video"] for each in holders if each.get("video")]
    told = [video.get("url") if isinstance(video, dict) else video for video in videos]
    return [*told, *(holder.get(name) for name in ("url", "video_url") for holder in holders)]


def _read_job(context: AdapterContext, body: Any) -> PollResult:
    """One state of a job. A word that is in no table is a failed look, never a failed job."""
    if not isinstance(body, dict):
        raise bad_reply(context, str(body))
    word, charged = str(body.get("status", "in_progress")).lower(), _charged(context, body)
    if word in WAITING:
        return PollResult("waiting")
    if word in RUNNING:
        return PollResult("running")
    if word in DONE and not body.get("error"):
        named = _named(body)
        if url := find_film(body, *named, near=context.client.near):
            return PollResult("done", result_url=url, charged_usd=charged)
        if any(named):
            raise no_film(context, body, *named)
    if word in DONE | FAILED:
        words = str(body.get("error") or f"status {word} without a film")
        return PollResult("failed", problem=generation_error(context, _code(words) or ErrorCode.UNAVAILABLE, words))
    raise bad_reply(context, f"status {word!r}")


class Netwrck:
    """Orders in polling mode."""

    asked = "api"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = context.client
        self._api = f"{context.urls['api']}/api"

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Place the order. Any 2xx with a job id is a yes; the figures it gives are what will be charged on success."""
        body = {"api_key": self._context.key, **_body(offer, uris)}
        reply = await self._client.send_once(HttpRequest("POST", f"{self._api}/{offer.endpoint}", body=body))
        if not reply.ok:
            raise self._refused(reply)
        answer, job_id = find_id(reply.json, "job_id", "jobId")
        if not job_id:
            raise submission_unknown(self._context, reply)
        return SubmittedOrder(self.remote_of(offer, job_id), charged_usd=_charged(self._context, answer))

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """A job is asked after by its id alone."""
        return {"job_id": remote_id}

    def _refused(self, reply: HttpResponse) -> ProviderError:
        words = _error_text(reply)
        code = _code(words) if reply.status_code in (400, 403, 422) else None
        return submission_error(self._context, reply, words, code)

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Look at the job."""
        url = f"{self._api}/fal/status/{quote(remote['job_id'], safe='')}"
        reply = await self._client.request(HttpRequest("GET", url, params={"api_key": self._context.key}))
        if not reply.ok:
            raise poll_error(self._context, reply, _error_text(reply))
        return _read_job(self._context, reply.json)

    async def check(self) -> KeyCheck:
        """Ask after a job that nobody ordered. No page says what that is answered with: any JSON object is believed."""
        url, params = f"{self._api}/fal/status/{NO_ORDER}", {"api_key": self._context.key}
        reply = await self._client.request(HttpRequest("GET", url, params=params, read_s=CHECK_S))
        return key_checked(self._context, reply, _error_text(reply), own=isinstance(reply.json, dict))


def make_adapter(context: AdapterContext) -> Netwrck:
    """The adapter of this file."""
    return Netwrck(context)
