"""fal.ai, by its queue API: docs.fal.ai (queue, inference, errors) and the source of fal-client 1.0.3, read 2026-11-21.

The three addresses an order is followed at are those its answer gave. One that is missing, or that points away from
the queue's own host, is replaced by the documented form: a paid film is not lost over it, and the key stays here.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.job import CancelOutcome
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.net.address import find_film
from ltx_mcp.net.provider_client import EVENTS_S, HttpRequest, HttpResponse, read_json
from ltx_mcp.providers.base import (
    CHECK_S,
    NO_ORDER,
    AdapterContext,
    KeyCheck,
    PollResult,
    SubmittedOrder,
    Uploaded,
    find_id,
    read_word,
    to_number,
)
from ltx_mcp.providers.fal_prices import ask_prices
from ltx_mcp.providers.provider_errors import (
    bad_reply,
    generation_error,
    key_checked,
    no_film,
    poll_error,
    submission_error,
    submission_unknown,
)

BACKUP_HOSTS = {"queue.fal.run": "queue.falrun.com"}
FIELDS = {"image": "image_url", "end_image": "end_image_url", "audio": "audio_url", "video": "video_url"}
CANCELS = {
    "OK": CancelOutcome.STOPPED,
    "CANCELLATION_REQUESTED": CancelOutcome.ASKED,
    "ALREADY_COMPLETED": CancelOutcome.NOT_POSSIBLE,
    "NOT_FOUND": CancelOutcome.NOT_POSSIBLE,
}
BILLING, MAX_UNITS = "x-fal-billable-units", 1_000_000


def _body(offer: Offer, uris: Mapping[str, str]) -> dict[str, Any]:
    """The order's JSON. A field that an operation does not have is not sent, nor an empty prompt where it may be."""
    fields: dict[str, Any] = {FIELDS[role]: uri for role, uri in uris.items()}
    if offer.prompt or offer.operation not in ("audio_to_video", "extend"):
        fields["prompt"] = offer.prompt
    length = to_number(offer.duration)
    match offer.operation:
        case "audio_to_video":
            return fields | {"aspect_ratio": offer.aspect_ratio}
        case "extend":
            context = {} if offer.context is None else {"context": to_number(offer.context)}
            return fields | {"duration": length, "mode": offer.mode} | context
        case "retake":
            start = to_number(offer.start_time or Decimal())
            return fields | {"start_time": start, "duration": length, "retake_mode": offer.mode}
    return fields | {
        "duration": length,
        "resolution": offer.resolution,
        "aspect_ratio": offer.aspect_ratio,
        "fps": offer.fps,
        "generate_audio": offer.generate_audio,
    }


def _error_text(reply: HttpResponse) -> tuple[str, str]:
    """The kind and the words of an error, of either form fal has; the echoed input is left out."""
    body = reply.json if isinstance(reply.json, dict) else {}
    detail = body.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        first = detail[0]
        place = first.get("loc")
        where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
        return str(first.get("type", "")), ": ".join(filter(None, (where, str(first.get("msg", "")))))
    kind = str(body.get("error_type") or reply.headers.get("x-fal-error-type", ""))
    return kind, str(detail) if detail else reply.text


def _code(reply: HttpResponse, kind: str, words: str) -> ErrorCode | None:
    """Where fal's own words say more than the status."""
    if kind == "content_policy_violation":
        return ErrorCode.CONTENT_REFUSED
    if reply.status_code == 403 and ("locked" in words.lower() or "balance" in words.lower()):
        return ErrorCode.OUT_OF_CREDIT
    return None


class Fal:
    """Orders through the queue; follows by the event stream, or by asking."""

    asked = "queue"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = context.client
        self._queue = context.urls["queue"]
        self._headers = {"Authorization": f"Key {context.key}"}
        self.account = context.account

    async def upload(self, path: Path, mime: str) -> Uploaded:
        """Send a medium to fal's CDN: an address is asked for, then the bytes are put there without the key."""
        url = f"{self._context.urls['rest']}/storage/upload/initiate?storage_type=fal-cdn-v3"
        body = {"content_type": mime, "file_name": f"{mime.partition('/')[0]}{path.suffix}"}
        reply = await self._client.request(HttpRequest("POST", url, self._headers, body=body))
        place = reply.json if isinstance(reply.json, dict) else {}
        put_url, file_url = read_word(place.get("upload_url")), read_word(place.get("file_url"))
        if not reply.ok or not put_url or not file_url:
            raise _upload_refused(self._context, reply)
        await self._client.put(put_url, path, {"Content-Type": mime})
        return Uploaded(file_url, self._context.now() + timedelta(seconds=self._context.facts.upload_lives_s or 0))

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Queue the order. Any 2xx with a request id is a yes."""
        call = HttpRequest("POST", f"{self._queue}/{offer.endpoint}", self._headers, body=_body(offer, uris))
        reply = await self._client.send_once(call)
        if not reply.ok:
            kind, words = _error_text(reply)
            raise submission_error(self._context, reply, words, _code(reply, kind, words))
        answer, request_id = find_id(reply.json, "request_id", "requestId")
        if not request_id:
            raise submission_unknown(self._context, reply)
        remote = self.remote_of(offer, request_id)
        urls = [name for name in remote if name.endswith("_url")]
        return SubmittedOrder(remote | {name: self._own(answer.get(name), remote[name]) for name in urls})

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """The documented addresses of an order; they leave the endpoint's sub-path out."""
        app = "/".join(offer.endpoint.split("/")[:2])
        base = f"{self._queue}/{app}/requests/{quote(remote_id, safe='')}"
        return {
            "request_id": remote_id,
            "status_url": f"{base}/status",
            "response_url": base,
            "cancel_url": f"{base}/cancel",
        }

    def _own(self, url: Any, documented: str) -> str:
        """The address the answer gave when it is the queue's own, else the documented one."""
        ours = urlsplit(self._queue)
        try:
            given = urlsplit(read_word(url))
            same = (given.scheme, given.port) == (ours.scheme, ours.port) and not given.username
        except ValueError:
            return documented
        hosts = (ours.hostname, BACKUP_HOSTS.get(ours.hostname or ""))
        return str(url) if same and given.hostname and given.hostname in hosts else documented

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Ask for the status, and once it is complete for the result."""
        reply = await self._client.request(HttpRequest("GET", remote["status_url"], self._headers, {"logs": "1"}))
        if not reply.ok:
            raise poll_error(self._context, reply, _error_text(reply)[1])
        return await self._read_status(reply.json, remote)

    async def stream_status(self, remote: Mapping[str, Any]) -> AsyncIterator[PollResult]:
        """The event stream: the same objects as the status, pushed; it ends after COMPLETED."""
        call = HttpRequest("GET", f"{remote['status_url']}/stream", self._headers, {"logs": "1"}, read_s=EVENTS_S)
        async with aclosing(self._client.events(call)) as events:
            async for text in events:
                status = read_json(text)
                if status is None:
                    raise bad_reply(self._context, text)
                seen = await self._read_status(status, remote)
                yield seen
                if seen.status not in ("waiting", "running"):
                    return

    async def _read_status(self, status: Any, remote: Mapping[str, Any]) -> PollResult:
        said = status.get("status") if isinstance(status, dict) else None
        word = said.upper() if isinstance(said, str) else None
        if word == "IN_QUEUE":
            return PollResult("waiting", queue_position=_position(status.get("queue_position")))
        if word == "IN_PROGRESS":
            return PollResult("running", note=self._last_log(status.get("logs")))
        if word != "COMPLETED":
            raise bad_reply(self._context, f"status {said!r}")
        if status.get("error_type") == "client_cancelled":
            return PollResult("cancelled")
        return await self._result(remote, failed=bool(status.get("error") or status.get("error_type")))

    def _last_log(self, logs: Any) -> str:
        lines = [line.get("message") for line in logs or () if isinstance(line, dict)] if isinstance(logs, list) else []
        return self._client.detail(str(lines[-1]))[:80] if lines else ""

    async def _result(self, remote: Mapping[str, Any], *, failed: bool) -> PollResult:
        """The film, or the model's own error. `failed`: the status said so; without that, a 5xx that is not of the
        model's form is the queue's own trouble and may pass."""
        reply = await self._client.request(HttpRequest("GET", remote["response_url"], self._headers))
        if reply.ok:
            told = reply.json
            if told is None:
                raise bad_reply(self._context, reply.text)
            video = told.get("video") if isinstance(told, dict) else None
            named = video.get("url") if isinstance(video, dict) else video
            if not (url := find_film(told, named, near=self._client.near)):
                raise no_film(self._context, told, named)
            return PollResult("done", result_url=url, units=_units(reply))
        body = reply.json if isinstance(reply.json, dict) else None
        passing = reply.status_code >= 500 and not failed and not isinstance((body or {}).get("detail"), list)
        if body is None or passing or reply.status_code in (401, 403, 404, 408, 429):
            raise poll_error(self._context, reply, _error_text(reply)[1])
        kind, words = _error_text(reply)
        if reply.status_code >= 500 or kind in ("request_timeout", "startup_timeout"):
            # fal never bills a 5xx
            return PollResult(
                "failed", problem=generation_error(self._context, ErrorCode.UNAVAILABLE, words), charged_usd=Decimal()
            )
        code = _code(reply, kind, words) or ErrorCode.REJECTED
        return PollResult("failed", problem=generation_error(self._context, code, words))

    async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
        """Ask for a stop: certain while it is queued; a running one may still finish, and be charged."""
        reply = await self._client.request(HttpRequest("PUT", remote["cancel_url"], self._headers))
        body = reply.json if isinstance(reply.json, dict) else {}
        if (word := CANCELS.get(str(body.get("status")))) is not None:
            return word
        if isinstance(body.get("success"), bool):  # the form one of fal's schemas shows
            return CancelOutcome.ASKED if body["success"] else CancelOutcome.NOT_POSSIBLE
        raise poll_error(self._context, reply)

    async def check(self) -> KeyCheck:
        """Ask for the status of a request that nobody made."""
        app = "/".join(self._context.facts.offer[0].endpoint.split("/")[:2])
        url = f"{self._queue}/{app}/requests/{NO_ORDER}/status"
        reply = await self._client.request(HttpRequest("GET", url, self._headers, read_s=CHECK_S))
        kind, words = _error_text(reply)
        own = isinstance(reply.json, dict) and bool({"detail", "status"} & reply.json.keys())
        return key_checked(self._context, reply, words, _code(reply, kind, words), own=own)

    @property
    def tells_prices(self) -> bool:
        """Not where the queue is somebody else's, unless an address for prices is set too."""
        return "api" in self._context.urls

    async def prices(self) -> Mapping[str, UnitPrice]:
        """fal's own price of a unit by endpoint."""
        return await ask_prices(self._context, self._context.urls["api"], self._headers)


def _upload_refused(context: AdapterContext, reply: HttpResponse) -> ProviderError:
    """Nothing was ordered yet, so the next offer may be tried."""
    kind, words = _error_text(reply)
    code = _code(reply, kind, words) or (ErrorCode.BAD_REPLY if reply.ok else None)
    return submission_error(context, reply, words, code, sure=True)


def _position(told: Any) -> int | None:
    """How many orders come before ours; None for what cannot be one."""
    if isinstance(told, str) and told.isascii() and told.isdecimal() and len(told) < 11:
        told = int(told)
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < 2**31 else None


def _units(reply: HttpResponse) -> Decimal | None:
    """What fal counted for its bill; None for what is no number."""
    try:
        units = Decimal(reply.headers.get(BILLING, "").strip())
    except InvalidOperation:
        return None
    return units if units.is_finite() and 0 <= units <= MAX_UNITS else None


def make_adapter(context: AdapterContext) -> Fal:
    """The adapter of this file."""
    return Fal(context)
