"""fal.ai, by its queue API and its price call: docs.fal.ai (queue, inference, errors, platform-apis/v1/models/pricing)
and the source of fal-client 1.0.3, read 2026-11-21; the fields of each endpoint by the pages named in fal.toml.

The three addresses an order is tracked at are those its answer gave. One that is missing, or that points away from the
queue's own host, is replaced by the documented form: a paid video is not lost over it, and the key stays here. Assumed
about prices, because the page shows no LTX model: the unit is called second or megapixel, and a price per second is
for the smallest size.

fal tells by itself that an order has ended where the order names an address: read 2026-11-29, see fal.toml.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from copy import copy
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import CancelOutcome
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.net.address import find_video_url
from ltx_mcp.net.provider_client import EVENTS_S, HttpRequest, ProviderClient
from ltx_mcp.net.reply import HttpResponse, read_json
from ltx_mcp.providers.base import (
    CHECK_S,
    NO_ORDER,
    AdapterContext,
    KeyCheck,
    PollResult,
    SignedNews,
    SubmittedOrder,
    Uploaded,
    read_id,
    to_number,
)
from ltx_mcp.providers.catalog_loader import is_loopback_url
from ltx_mcp.providers.provider_errors import (
    ErrorReply,
    ask,
    bad_reply,
    generation_error,
    key_checked,
    no_video,
    place_order,
    poll_error,
    submission_error,
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
OPEN_WEIGHTS = "fal-ai/ltx-2.3-22b/"
"""Endpoints that name frames, a size in pixels and a seed, where the others name seconds and a label."""
WEBHOOK = "x-fal-webhook-"
SIGNATURE_HEX = re.compile(r"[0-9A-Fa-f]{128}")
SECONDS = re.compile(r"[0-9]{1,12}")
MAX_PRICE, MAX_PRICE_CHARS = 10_000, 40
"""The highest price of a unit, and the longest unit, currency or figure that is read."""


def _body(offer: Offer, uris: Mapping[str, str]) -> dict[str, Any]:
    """The order's JSON. A field that an operation does not have is not sent, nor an empty prompt where it may be."""
    fields: dict[str, Any] = {FIELDS[role]: uri for role, uri in uris.items()}
    if offer.prompt or offer.operation not in ("audio_to_video", "extend", "reframe"):
        fields["prompt"] = offer.prompt
    return fields | (_open_fields(offer) if offer.endpoint.startswith(OPEN_WEIGHTS) else _own_fields(offer))


def _own_fields(offer: Offer) -> dict[str, Any]:
    """What an operation has beside its prompt and media."""
    length = to_number(offer.duration)
    match offer.operation:
        case "audio_to_video":
            return {"aspect_ratio": offer.aspect_ratio}
        case "extend":
            context = {} if offer.context is None else {"context": to_number(offer.context)}
            return {"duration": length, "mode": offer.mode} | context
        case "retake":
            start = to_number(offer.start_time or Decimal())
            return {"start_time": start, "duration": length, "retake_mode": offer.mode}
        case "reframe":
            return {"aspect_ratio": offer.aspect_ratio, "resolution": offer.resolution}
    return {
        "duration": "auto" if offer.auto_duration else length,
        "resolution": offer.resolution,
        "aspect_ratio": offer.aspect_ratio,
        "fps": offer.fps,
        "generate_audio": offer.generate_audio,
    } | ({} if offer.camera_motion == "none" else {"camera_motion": offer.camera_motion})


def _open_fields(offer: Offer) -> dict[str, Any]:
    """The same for the open weights."""
    fields: dict[str, Any] = {
        "video_size": {"width": offer.width, "height": offer.height},
        "fps": offer.fps,
        "enable_prompt_expansion": False,  # else the prompt is written anew, and a seed repeats nothing
    }
    if offer.operation == "audio_to_video":
        fields["match_audio_length"] = True
    else:
        fields |= {"num_frames": offer.frames, "generate_audio": offer.generate_audio}
    if offer.camera_motion != "none":
        fields["camera_lora"] = offer.camera_motion
    return fields if offer.seed is None else fields | {"seed": offer.seed}


def _error_text(reply: HttpResponse) -> tuple[str, str]:
    """The kind and the words of an error, of either form fal has; the echoed input is left out."""
    detail = reply.fields.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        first = detail[0]
        place = first.get("loc")
        where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
        return str(first.get("type", "")), ": ".join(filter(None, (where, str(first.get("msg", "")))))
    kind = str(reply.fields.get("error_type") or reply.headers.get("x-fal-error-type", ""))
    return kind, str(detail) if detail else reply.text


def _read_error(reply: HttpResponse) -> ErrorReply:
    """With a code where fal's own words say more than the status."""
    kind, words = _error_text(reply)
    if kind == "content_policy_violation":
        return ErrorReply(words, ErrorCode.CONTENT_REFUSED)
    is_locked = reply.status_code == 403 and ("locked" in words.lower() or "balance" in words.lower())
    return ErrorReply(words, ErrorCode.OUT_OF_CREDIT if is_locked else None)


class Fal:
    """Orders through the queue; tracks by the event stream, or by polling."""

    asked = "queue"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = context.client
        self._queue = context.urls["queue"]
        self._headers = {"Authorization": f"Key {context.key}"}
        self._order_params: Mapping[str, str] = {}
        self.account = context.account

    def with_webhook(self, url: str) -> "Fal":
        """The same, whose orders ask fal to tell this address when they have ended."""
        told = copy(self)
        if self._context.facts.webhook is not None:
            told._order_params = {self._context.facts.webhook.parameter: url}
        return told

    async def upload(self, path: Path, mime: str) -> Uploaded:
        """Send a file to fal's CDN: an address is requested, then the bytes are put there without the key."""
        url = f"{self._context.urls['rest']}/storage/upload/initiate?storage_type=fal-cdn-v3"
        body = {"content_type": mime, "file_name": f"{mime.partition('/')[0]}{path.suffix}"}
        reply = await self._client.request(HttpRequest("POST", url, self._headers, body=body))
        put_url, file_url = read_id(reply.fields.get("upload_url")), read_id(reply.fields.get("file_url"))
        if not reply.ok or not put_url or not file_url:
            error = _read_error(reply)
            code = error.code or (ErrorCode.BAD_REPLY if reply.ok else None)
            # nothing was ordered yet, so the next offer may be tried
            raise submission_error(self._context, reply, ErrorReply(error.words, code, sure=True))
        await self._client.put(put_url, path, {"Content-Type": mime})
        return Uploaded(file_url, self._context.now() + timedelta(seconds=self._context.facts.upload_lives_s or 0))

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Queue the order. Any 2xx with a request id is a yes."""
        url = f"{self._queue}/{offer.endpoint}"
        call = HttpRequest("POST", url, self._headers, self._order_params, body=_body(offer, uris))
        placed = await place_order(self._context, call, ("request_id", "requestId"), _read_error)
        remote = self.remote_of(offer, placed.id)
        urls = [name for name in remote if name.endswith("_url")]
        return SubmittedOrder(remote | {name: self._own(placed.part.get(name), remote[name]) for name in urls})

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
            given = urlsplit(read_id(url))
            same = (given.scheme, given.port) == (ours.scheme, ours.port) and not given.username
        except ValueError:
            return documented
        hosts = (ours.hostname, BACKUP_HOSTS.get(ours.hostname or ""))
        return str(url) if same and given.hostname and given.hostname in hosts else documented

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Ask for the status, and once it is complete for the result."""
        call = HttpRequest("GET", remote["status_url"], self._headers, {"logs": "1"})
        reply = await ask(self._context, call, _read_error)
        return await self._read_status(reply.json, remote)

    async def stream_status(self, remote: Mapping[str, Any]) -> AsyncIterator[PollResult]:
        """The event stream: the same objects as the status, pushed; it ends after COMPLETED."""
        call = HttpRequest("GET", f"{remote['status_url']}/stream", self._headers, {"logs": "1"}, read_s=EVENTS_S)
        async with aclosing(self._client.events(call)) as events:
            async for text in events:
                status = read_json(text)
                if status is None:
                    raise bad_reply(self._context, text)
                result = await self._read_status(status, remote)
                yield result
                if result.status not in ("waiting", "running"):
                    return

    async def _read_status(self, status: Any, remote: Mapping[str, Any]) -> PollResult:
        raw = status.get("status") if isinstance(status, dict) else None
        word = raw.upper() if isinstance(raw, str) else None
        if word == "IN_QUEUE":
            return PollResult("waiting", queue_position=_position(status.get("queue_position")))
        if word == "IN_PROGRESS":
            return PollResult("running", note=self._last_log(status.get("logs")))
        if word != "COMPLETED":
            raise bad_reply(self._context, f"status {raw!r}")
        if status.get("error_type") == "client_cancelled":
            return PollResult("cancelled")
        return await self._result(remote, failed=bool(status.get("error") or status.get("error_type")))

    def _last_log(self, logs: Any) -> str:
        lines = [line.get("message") for line in logs or () if isinstance(line, dict)] if isinstance(logs, list) else []
        return self._client.detail(str(lines[-1]))[:80] if lines else ""

    async def _result(self, remote: Mapping[str, Any], *, failed: bool) -> PollResult:
        """The video, or the model's own error. `failed`: the status said so; without that, a 5xx that does not have the
        model's form is the queue's own trouble and may pass."""
        reply = await self._client.request(HttpRequest("GET", remote["response_url"], self._headers))
        if reply.ok:
            if reply.json is None:
                raise bad_reply(self._context, reply.text)
            video = reply.fields.get("video")
            named = video.get("url") if isinstance(video, dict) else video
            if not (url := find_video_url(reply.json, named, is_loopback=self._client.is_loopback)):
                raise no_video(self._context, reply.json, named)
            return PollResult("done", result_url=url, units=_units(reply))
        kind, words = _error_text(reply)
        passing = reply.status_code >= 500 and not failed and not isinstance(reply.fields.get("detail"), list)
        if not isinstance(reply.json, dict) or passing or reply.status_code in (401, 403, 404, 408, 429):
            raise poll_error(self._context, reply, words)
        if reply.status_code >= 500 or kind in ("request_timeout", "startup_timeout"):
            problem = generation_error(self._context, ErrorCode.UNAVAILABLE, words)
            return PollResult("failed", problem=problem, charged_usd=Decimal())  # fal never bills a 5xx
        code = _read_error(reply).code or ErrorCode.REJECTED
        return PollResult("failed", problem=generation_error(self._context, code, words))

    async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
        """Ask for a stop: certain while it is queued; a running one may still finish, and be charged."""
        reply = await self._client.request(HttpRequest("PUT", remote["cancel_url"], self._headers))
        if (outcome := CANCELS.get(str(reply.fields.get("status")))) is not None:
            return outcome
        success = reply.fields.get("success")
        if isinstance(success, bool):  # the form one of fal's schemas shows
            return CancelOutcome.ASKED if success else CancelOutcome.NOT_POSSIBLE
        raise poll_error(self._context, reply)

    async def check(self) -> KeyCheck:
        """Ask for the status of a request that nobody made."""
        app = "/".join(self._context.facts.offer[0].endpoint.split("/")[:2])
        url = f"{self._queue}/{app}/requests/{NO_ORDER}/status"
        reply = await self._client.request(HttpRequest("GET", url, self._headers, read_s=CHECK_S))
        error, own = _read_error(reply), bool({"detail", "status"} & reply.fields.keys())
        return key_checked(self._context, reply, error.words, error.code, own=own)

    @property
    def tells_prices(self) -> bool:
        """Not where the queue is somebody else's, unless an address for prices is set too."""
        return "api" in self._context.urls

    async def prices(self) -> Mapping[str, UnitPrice]:
        """fal's own price of a unit, of as many of our endpoints as can be read."""
        context, url = self._context, self._context.urls["api"]
        endpoints = tuple(dict.fromkeys(row.endpoint for row in context.facts.offer))
        query = {"endpoint_id": ",".join(endpoints)}
        call = HttpRequest("GET", f"{url}/v1/models/pricing", self._headers, query, read_s=CHECK_S)
        # this address may be on another machine than the queue's
        client = ProviderClient(context.facts.name, [context.key], is_loopback=is_loopback_url(url))
        try:
            reply = await client.request(call)
        finally:
            await client.close()
        rows = reply.fields.get("prices")
        if not reply.ok or not isinstance(rows, list):
            raise poll_error(context, reply)
        prices = dict(filter(None, (_read_price(context, row) for row in rows)))
        if not prices:
            raise bad_reply(context, reply.text)
        return {endpoint: price for endpoint, price in prices.items() if endpoint in endpoints}


def read_news(headers: Mapping[str, str], body: bytes) -> SignedNews | None:
    """What fal sends when an order has ended. Of the body only the ids count: after a retry of fal's own the second one
    is another. The status, the error and the video are asked for."""
    names = ("request-id", "user-id", "timestamp", "signature")
    request_id, user_id, timestamp, signature = (headers.get(f"{WEBHOOK}{name}", "") for name in names)
    told = read_json(body)
    if not SECONDS.fullmatch(timestamp) or not SIGNATURE_HEX.fullmatch(signature) or not isinstance(told, dict):
        return None
    ids = [order_id for name in ("request_id", "gateway_request_id") if (order_id := read_id(told.get(name)))]
    if not ids:
        return None
    text = "\n".join((request_id, user_id, timestamp, sha256(body).hexdigest())).encode()

    def is_about(remote: Mapping[str, Any]) -> bool:
        return read_id(remote.get("request_id")) in ids

    return SignedNews(text, bytes.fromhex(signature), int(timestamp), ids[0], is_about)


def _read_price(context: AdapterContext, row: Any) -> tuple[str, UnitPrice] | None:
    """One row of the price list; None for one that cannot be read."""
    if not isinstance(row, dict):
        return None
    endpoint, unit, currency = (read_id(row.get(name)) for name in ("endpoint_id", "unit", "currency"))
    value = row.get("unit_price")
    amount = None
    if isinstance(value, int | float | str) and len(str(value)) <= MAX_PRICE_CHARS:
        amount = _number(str(value))
    if amount is None or amount >= MAX_PRICE or not endpoint or max(len(unit), len(currency)) > MAX_PRICE_CHARS:
        return None
    return endpoint, UnitPrice(unit, currency, amount, context.now())


def _number(text: str) -> Decimal | None:
    """None for what is no number, or a negative one."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number >= 0 else None


def _position(value: Any) -> int | None:
    """How many orders come before ours; None for what cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 11:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _units(reply: HttpResponse) -> Decimal | None:
    """What fal counted for its bill; None for what is no number."""
    units = _number(reply.headers.get(BILLING, "").strip())
    return units if units is not None and units <= MAX_UNITS else None


make_adapter = Fal
