"""What a job was asked for and what happened to it, in words; the ledger's own columns are for `--debug`."""

from collections.abc import Mapping
from typing import Any

from ltx_mcp.domain.job import Job
from ltx_mcp.domain.quoting import MAX_PROVIDER_CHARS, one_line, plain_line

NOTHING = ("", "None", "0", "none", "auto", "never")
TOLD = ("provider", "model", "error", "message", "waits_for", "wait_s", "quoted_usd", "charged_usd")
NAMES = {
    "waits_for": "waits for",
    "wait_s": "seconds to wait",
    "quoted_usd": "quoted USD",
    "charged_usd": "charged USD",
}


def asked_of(job: Job) -> list[str]:
    """The prompt and all that was asked for beside it, a sentence each."""
    words = one_line(job.prompt, MAX_PROVIDER_CHARS)
    return [*([f"Prompt: {words}"] if words else []), f"Asked for: {', '.join(_parts(job))}."]


def _parts(job: Job) -> list[str]:
    asked = job.canonical_request
    length = asked.get("duration", "")
    parts = [
        f"{length} s" if length not in NOTHING else "as long as it comes",
        _named(asked, "resolution", "{}"),
        _named(asked, "aspect_ratio", "{}"),
        _named(asked, "fps", "{} fps"),
        "with sound" if asked.get("generate_audio") == "True" else "silent",
        _named(asked, "camera_motion", "camera {}"),
        _named(asked, "mode", "mode {}"),
        _named(asked, "start_time", "from second {}"),
        _named(asked, "context", "{} s of context"),
        _named(asked, "provider", "provider {}"),
        _named(asked, "model", "model {}"),
        _named(asked, "adjust", "adjusted to the {}"),
    ]
    media = [_medium(given.role, given.format, given.width, given.height) for given in job.inputs if not given.job_id]
    return [*filter(None, parts), *media]


def _named(asked: Mapping[str, str], name: str, words: str) -> str:
    value = plain_line(asked.get(name, ""))
    return "" if value in NOTHING else words.format(value)


def _medium(role: str, form: str, width: int, height: int) -> str:
    size = f" of {width}x{height}" if width else ""
    return f"{role.replace('_', ' ')}: {form or 'a file'}{size}"


def happened(detail: Mapping[str, Any], *, is_debug: bool) -> str:
    """What is known of one thing that happened, on one line."""
    if is_debug:
        return plain_line(", ".join(f"{name} {value}" for name, value in detail.items()))
    told = {name: detail[name] for name in TOLD if detail.get(name) not in (None, "")}
    return plain_line(
        ", ".join(f"{NAMES[name]} {value}" if name in NAMES else str(value) for name, value in told.items())
    )
