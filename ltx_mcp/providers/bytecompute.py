"""ByteCompute's LTX-2.3: its model page, read 2026-11-21. Every call is a POST; an order is always a multipart form.

Certain from the page: the fields, `adjustments`, the status `completed`, 409 for an early download, the form of an
error. Assumed, because no page says it: where the id stands, other status words, what `adjustments` holds, and
whether a download answers with the film or with its address.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.net.address import find_film
from ltx_mcp.net.flow import WIDEST, Bounds
from ltx_mcp.net.provider_client import READ_S, Files, HttpRequest, HttpResponse
from ltx_mcp.net.reply import is_text
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

DONE = frozenset({"completed", "complete", "succeeded", "success", "done"})
WAITING = frozenset({"queued", "pending", "accepted", "submitted"})
RUNNING = frozenset({"processing", "running", "in_progress", "generating"})
FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled", "expired"})
FILTERS = ("content policy", "content_policy", "moderation", "nsfw", "safety")
URL_FIELDS = ("url", "video_url", "download_url")
FILM_S = 120.0


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


def _error_of(reply: HttpResponse) -> str:
    body = reply.json if isinstance(reply.json, dict) else {}
    error = body.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else str(error or reply.text)


def _adjustments(context: AdapterContext, body: Any) -> tuple[Adjustment, ...]:
    """What the provider says it changed. An element of a form nobody documented is told as it came."""
    told = body.get("adjustments") if isinstance(body, dict) else None
    if isinstance(told, dict):
        told = [
            {"field": name, **(value if isinstance(value, dict) else {"applied": value})}
            for name, value in told.items()
        ]
    return tuple(_adjustment(context, each) for each in (told if isinstance(told, list) else [told]) if each)


def _adjustment(context: AdapterContext, each: Any) -> Adjustment:
    values = each if isinstance(each, dict) else {}
    asked = next((values[name] for name in ("requested", "asked", "from", "original") if name in values), "")
    got = next((values[name] for name in ("applied", "got", "to", "adjusted", "actual") if name in values), None)
    if "field" not in values or got is None:
        return Adjustment("order", "as asked", context.client.detail(json.dumps(each))[:200], "provider")
    name, before, after = (context.client.detail(str(word))[:40] for word in (values["field"], asked, got))
    return Adjustment(name, before, after, "provider")


def _read_job(context: AdapterContext, body: Any) -> PollResult:
    """One state of a job. A word that is in no table is a failed look, never a failed job."""
    word = str(body.get("status", "")).lower() if isinstance(body, dict) else ""
    if word in WAITING:
        return PollResult("waiting")
    if word in RUNNING:
        return PollResult("running")
    if word in DONE:
        return PollResult("done", adjustments=_adjustments(context, body))
    if word in FAILED:
        error = body.get("error")
        words = str(error.get("message", "")) if isinstance(error, dict) else str(error or f"status {word}")
        return PollResult("failed", problem=generation_error(context, _code(words) or ErrorCode.UNAVAILABLE, words))
    raise bad_reply(context, f"status {word!r}")


def _code(words: str) -> ErrorCode | None:
    return ErrorCode.CONTENT_REFUSED if any(word in words.lower() for word in FILTERS) else None


class ByteCompute:
    """Orders a job, asks after it, and downloads by a call of its own."""

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
        reply = await self._client.send_once(HttpRequest("POST", f"{self._api}/generate", self._headers, files=files))
        if not reply.ok:
            words = _error_of(reply)
            code = _code(words) if reply.status_code in (400, 403, 422) else None
            raise submission_error(self._context, reply, words, code)
        _, job_id = find_id(reply.json, "id", "job_id")
        if not job_id:
            raise submission_unknown(self._context, reply)
        return SubmittedOrder(self.remote_of(offer, job_id), adjustments=_adjustments(self._context, reply.json))

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """A job is asked after by its id alone."""
        return {"id": remote_id}

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Look at the job."""
        reply = await self._client.request(self._call(remote, ""))
        if not reply.ok:
            raise poll_error(self._context, reply, _error_of(reply))
        return _read_job(self._context, reply.json)

    async def check(self) -> KeyCheck:
        """Ask after a job that nobody ordered."""
        reply = await self._client.request(self._call({"id": NO_ORDER}, "", CHECK_S))
        own = isinstance(reply.json, dict) and bool({"error", "status"} & reply.json.keys())
        return key_checked(self._context, reply, _error_of(reply), own=own)

    async def download(self, remote: Mapping[str, Any], path: Path, bounds: Bounds = WIDEST) -> str:
        """The film's bytes into `path`, or the address where they lie."""
        async with self._client.stream(self._call(remote, "/download", FILM_S)) as held:
            if held.status_code == 200 and not is_text(await held.head()):
                await held.save(path, bounds)
                return ""
            reply = await held.read()
        if not reply.ok:
            raise self._not_delivered(reply)
        body = reply.json
        named = [body.get(name) for name in URL_FIELDS] if isinstance(body, dict) else []
        if not (url := find_film(body, *named, near=self._client.near)):
            raise no_film(self._context, reply.text if body is None else body, *named)
        return url

    def _not_delivered(self, reply: HttpResponse) -> ProviderError:
        return poll_error(self._context, reply, _error_of(reply))

    def _call(self, remote: Mapping[str, Any], what: str, read_s: float = READ_S) -> HttpRequest:
        return HttpRequest(
            "POST", f"{self._api}/jobs/{quote(remote['id'], safe='')}{what}", self._headers, read_s=read_s
        )


def make_adapter(context: AdapterContext) -> ByteCompute:
    """The adapter of this file."""
    return ByteCompute(context)
