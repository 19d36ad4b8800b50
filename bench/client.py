"""What the demonstrations share: an answer or the end of the run, a job followed to its end, a film in one line."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp import Client
from mcp.types import TextContent

LIVE = ("queued", "submitting", "running", "saving")
WAIT_S = 45


class Ended(Exception):
    """Why a run ends before its end, in a sentence."""


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run it; what ends it early is one sentence on stderr and exit code 1."""
    said = ""
    try:
        anyio.run(main)
    except* Ended as group:
        said = _first(group)
    if said:
        raise SystemExit(said)


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else str(found)


async def answer(client: Client, tool: str, arguments: dict[str, Any], *, mark: str = "") -> dict[str, Any]:
    """The structured answer of one call; progress is shown behind `mark` while it waits. Raises Ended for a refusal."""

    async def show(progress: float, total: float | None, message: str | None) -> None:
        print(f"{mark:<16}{message}", flush=True)

    result = await client.call_tool(tool, arguments, progress_callback=show)
    if result.is_error or result.structured_content is None:
        words = " ".join(part.text for part in result.content if isinstance(part, TextContent))
        raise Ended(f"{tool}: {words}")
    return dict(result.structured_content)


async def follow(client: Client, job_id: str, *, mark: str = "") -> dict[str, Any]:
    """The job when it has a film. Raises Ended for any other end."""
    view: dict[str, Any] = {"state": "queued"}
    while view["state"] in LIVE:
        view = await answer(client, "check_job", {"job_id": job_id, "wait_seconds": WAIT_S, "frames": False}, mark=mark)
    if view["state"] != "succeeded":
        raise Ended(f"{job_id} {view['state']}: {view.get('error')}")
    return view


def measured(view: dict[str, Any]) -> str:
    """The facts of a film, as they were measured."""
    sound = "with sound" if view["has_audio"] else "silent"
    size = f"{view['width']}x{view['height']}, {view['fps']:g} fps"
    return f"{view['duration']:g} s, {size}, {sound}, {view['size_bytes'] / 1e6:.1f} MB"
