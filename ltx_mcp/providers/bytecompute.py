"""ByteCompute's LTX-2.3: its model page, read 2026-11-21. Every call is a POST; an order is always a multipart form.

Certain from the page: the fields, `adjustments`, the status `completed`, 409 for an early download, the form of an
error. Assumed, because no page says it: where the id stands, other status words, what `adjustments` holds, and
whether a download answers with the video or with its address.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.net.address import find_video_url
from ltx_mcp.net.flow import WIDEST, Bounds
from ltx_mcp.net.provider_client import Files, HttpRequest
from ltx_mcp.net.reply import HttpResponse, is_text
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
    poll_error,
    read_filtered,
)

DONE = frozenset({"completed", "complete", "succeeded", "success", "done"})
WAITING = frozenset({"queued", "pending", "accepted", "submitted"})
RUNNING = frozenset({"processing", "running", "in_progress", "generating"})
FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled", "expired"})
URL_FIELDS = ("url", "video_url", "download_url")
DOWNLOAD_S = 120.0


def _form(offer: Offer, paths: Mapping[str, str]) -> Files:
    """The form: the size as WIDTHxHEIGHT, because a preset says nothing about the tier that is billed."""
    texts = {
        "model": offer.endpoint,
        "prompt": offer.prompt,
        "duration": f"{offer.duration:f}",
        "resolution": f"{offer.width}x{offer.height}",
        "fps": str(offer.fps),
    }
    names = {"image": "first_frame", "end_image": "last_frame"} if "end_image" in paths else {"image": "image"}
    files: dict[str, tuple[str | None, str | bytes, str | None]] = {
        name: (None, text, None) for name, text in texts.items()
    }
    for role, path in paths.items():
        kind = Path(path).suffix.removeprefix(".")
        files[names[role]] = (f"{names[role]}.{kind}", Path(path).read_bytes(), f"image/{kind}")
    return files


def _read_error(reply: HttpResponse) -> ErrorReply:
    return read_filtered(reply, _error_words(reply.fields, reply.text))


def _error_words(body: Mapping[str, Any], default: str) -> str:
    error = body.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else str(error or default)


def _adjustments(context: AdapterContext, body: Any) -> tuple[Adjustment, ...]:
    """What the provider says it changed. An element of a form nobody documented is reported as it came."""
    listed = body.get("adjustments") if isinstance(body, dict) else None
    if isinstance(listed, dict):
        listed = [
            {"field": name, **(value if isinstance(value, dict) else {"applied": value})}
            for name, value in listed.items()
        ]
    return tuple(_adjustment(context, each) for each in (listed if isinstance(listed, list) else [listed]) if each)


def _adjustment(context: AdapterContext, each: Any) -> Adjustment:
    values = each if isinstance(each, dict) else {}
    asked = next((values[name] for name in ("requested", "asked", "from", "original") if name in values), "")
    got = next((values[name] for name in ("applied", "got", "to", "adjusted", "actual") if name in values), None)
    if "field" not in values or got is None:
        return Adjustment("order", "as asked", context.client.detail(json.dumps(each))[:200], "provider")
    name, before, after = (context.client.detail(str(word))[:40] for word in (values["field"], asked, got))
    return Adjustment(name, before, after, "provider")


def _read_job(context: AdapterContext, body: Any) -> PollResult:
    """One status of a job. A word that is in no table is a failed poll, never a failed job."""
    status = str(body.get("status", "")).lower() if isinstance(body, dict) else ""
    if status in WAITING:
        return PollResult("waiting")
    if status in RUNNING:
        return PollResult("running")
    if status in DONE:
        return PollResult("done", adjustments=_adjustments(context, body))
    if status in FAILED:
        words = _error_words(body, f"status {status}")
        code = filter_code(words) or ErrorCode.UNAVAILABLE
        return PollResult("failed", problem=generation_error(context, code, words))
    raise bad_reply(context, f"status {status!r}")


class ByteCompute:
    """Orders a job, polls it, and downloads by a call of its own."""

    asked = "api"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = context.client
        self._api = f"{context.urls['api']}/v1"
        self._headers = {"Authorization": f"Bearer {context.key}"}

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder:
        """Place the order. Any 2xx with an id is a yes."""
        try:
            files = _form(offer, uris)
        except OSError as error:
            raise self._client.connection_error(
                f"was sent nothing: a picture cannot be read ({error.strerror})", "no"
            ) from error
        call = HttpRequest("POST", f"{self._api}/generate", self._headers, files=files)
        placed = await place_order(self._context, call, ("id", "job_id"), _read_error)
        return SubmittedOrder(self.remote_of(offer, placed.id), adjustments=_adjustments(self._context, placed.body))

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """A job is found by its id alone."""
        return {"id": remote_id}

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Ask about the job."""
        reply = await ask(self._context, self._call(remote, ""), _read_error)
        return _read_job(self._context, reply.json)

    async def check(self) -> KeyCheck:
        """Ask about a job that nobody ordered."""
        reply = await self._client.request(self._call({"id": NO_ORDER}, "", CHECK_S))
        own = bool({"error", "status"} & reply.fields.keys())
        return key_checked(self._context, reply, _read_error(reply).words, own=own)

    async def download(self, remote: Mapping[str, Any], path: Path, bounds: Bounds = WIDEST) -> str:
        """The video's bytes into `path`, or the address where they lie."""
        async with self._client.stream(self._call(remote, "/download", DOWNLOAD_S)) as held:
            if held.status_code == 200 and not is_text(await held.head()):
                await held.save(path, bounds)
                return ""
            reply = await held.read()
        if not reply.ok:
            raise poll_error(self._context, reply, _read_error(reply).words)
        body = reply.json
        urls = [reply.fields.get(name) for name in URL_FIELDS]
        if not (url := find_video_url(body, *urls, is_loopback=self._client.is_loopback)):
            raise no_video(self._context, reply.text if body is None else body, *urls)
        return url

    def _call(self, remote: Mapping[str, Any], path: str, read_s: float = READ_S) -> HttpRequest:
        url = f"{self._api}/jobs/{quote(remote['id'], safe='')}{path}"
        return HttpRequest("POST", url, self._headers, read_s=read_s)


make_adapter = ByteCompute
