"""The MCP Inspector's command line as a host: every tool, resource, template and prompt, and what each answers.

What there is comes from the server's own lists. A tool for which no call is written here is a failure, so that none is
forgotten.
"""

import base64
import io
import json
import os
import re
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.packages import Programs
from tests.facts import facts_on_wire
from tests.tool_list import TOOLS

ERAS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
"""What the Inspector calls them, and the protocol version it must come to."""
LONGEST_S = 90
SMALL: dict[str, Any] = {"resolution": "720p", "fps": 24, "duration": 6, "generate_audio": False}
LONG: dict[str, Any] = {"resolution": "2160p", "fps": 24, "duration": 20, "generate_audio": False}
STORY = "A heron lands on a pond at dawn."
BEGINS = {"image/jpeg": b"\xff\xd8\xff", "video/mp4": b"ftyp"}
LIVE = ("queued", "submitting", "running", "saving")


@dataclass(frozen=True)
class Target:
    """A transport and an era."""

    transport: str
    era: str

    def __str__(self) -> str:
        return f"Inspector over {self.transport}, {ERAS[self.era]}"

    @property
    def name(self) -> str:
        """In the Inspector's configuration."""
        return f"{self.transport}-{self.era}"

    @property
    def follows_tasks(self) -> bool:
        """The Inspector declares the tasks extension in today's protocol, and shows a task's end as the answer."""
        return self.era == "modern"


@dataclass
class Found:
    """What one target came to."""

    target: Target
    counts: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def line(self) -> str:
        """For a person."""
        counted = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        first = f"{'FAILED' if self.bad else 'ok':6} {self.target}: {counted}; {self.seconds:.0f} s"
        return "\n       ".join([first, *self.bad])


class Wrong(Exception):
    """An answer is not what it should be."""


def config_of(path: Path, url: str, homes: Mapping[str, Path]) -> Path:
    """A file that tells the Inspector of every target."""
    servers: dict[str, Any] = {}
    for era, home in homes.items():
        # a file:// URL is only given where the caller shares the disk
        env = {"LTX_MCP_HOME": str(home), "LTX_MCP_PROVIDERS": "local"}
        stdio = {"command": sys.executable, "args": ["-m", "ltx_mcp"], "env": env, "protocolEra": era}
        servers[f"stdio-{era}"] = stdio
        servers[f"http-{era}"] = {"type": "streamable-http", "url": url, "protocolEra": era}
    path.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    return path


def config_with_token(path: Path, target: Target, url: str, token: str) -> Path:
    """A file that tells the Inspector of one target, which asks for a token."""
    headers = {"Authorization": f"Bearer {token}"}
    server = {"type": "streamable-http", "url": url, "protocolEra": target.era, "headers": headers}
    path.write_text(json.dumps({"mcpServers": {target.name: server}}), encoding="utf-8")
    return path


def inspect(programs: Programs, config: Path, target: Target) -> Found:
    """List and use everything."""
    return _take(Host(programs, config, target), (_era, _tools, _resources, _templates, _prompts))


def order_one(programs: Programs, config: Path, target: Target) -> Found:
    """List the tools, order a preview and follow it."""
    return _take(Host(programs, config, target), (_era, _ordered))


def _take(host: "Host", steps: Sequence[Callable[["Host"], dict[str, int]]]) -> Found:
    began = time.monotonic()
    found = Found(host.target)
    for step in steps:
        try:
            found.counts |= step(host)
        except Wrong as wrong:
            found.bad.append(str(wrong))
        except LookupError as missing:
            found.bad.append(f"{step.__name__[1:]}: an answer lacks {missing}")
    found.seconds = time.monotonic() - began
    return found


class Host:
    """The Inspector with one server; each call is a process of its own, and over stdio a server of its own."""

    def __init__(self, programs: Programs, config: Path, target: Target) -> None:
        self.target = target
        self.job_id = self.animated_id = ""
        self._command = [*programs.inspector, "--config", str(config), "--server", target.name, "--format", "json"]
        self._command += ["--stored-auth-only"]

    def ask(self, method: str, *options: str) -> dict[str, Any]:
        """The result of one request. Raises Wrong."""
        said = " ".join([method, *options[:2]])
        try:
            ended = subprocess.run(
                [*self._command, "--method", method, *options],
                env={**os.environ, "MCP_INSPECTOR_SECRET_STORE": "memory"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"{said}: no answer within {LONGEST_S} s") from None
        try:
            result: dict[str, Any] = json.loads(ended.stdout)["result"]
        except (ValueError, KeyError):
            raise Wrong(f"{said}: exit code {ended.returncode}: {ended.stderr.strip()[-300:]}") from None
        if ended.returncode != 0:
            raise Wrong(f"{said}: exit code {ended.returncode}: {json.dumps(result)[:300]}")
        return result

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """A tool's structured answer, which must come with a text."""
        given = json.dumps(arguments)
        result = self.ask("tools/call", "--tool-name", tool, "--tool-args-json", given)
        check(result["content"][0]["text"].strip(), f"{tool} says nothing")
        return facts_on_wire(result) | {"pictures": [each for each in result["content"] if each["type"] == "image"]}


def check(holds: Any, sentence: str) -> None:
    """Raises Wrong when it does not hold."""
    if not holds:
        raise Wrong(sentence)


def _era(host: Host) -> dict[str, int]:
    began = host.ask("initialize")
    version = began["protocolVersion"]
    check(version == ERAS[host.target.era], f"the Inspector came to {version}")
    check(began["serverInfo"]["name"] == "ltx-mcp", f"another server: {began['serverInfo']}")
    check(began["instructions"], "no instructions")
    return {}


def _tools(host: Host) -> dict[str, int]:
    listed = [tool["name"] for tool in host.ask("tools/list")["tools"]]
    check(listed == [*TOOLS], f"listed are {', '.join(listed)}")
    for name in CALLS:
        CALLS[name](host)
    for name in TOOLS.keys() - CALLS.keys():
        filled = {"{job}": host.job_id, "{cursor}": ""}
        host.call(name, {key: filled.get(str(value), value) for key, value in TOOLS[name].arguments.items()})
    return {"tools": len(listed)}


def _ordered(host: Host) -> dict[str, int]:
    listed = host.ask("tools/list")["tools"]
    _generate(host)
    _check_job(host)
    return {"tools": len(listed), "previews": 1}


def _estimate(host: Host) -> None:
    estimate = host.call("estimate_cost", {"resolution": "720p", "fps": 24})
    local = [quote for quote in estimate["quotes"] if quote["provider"] == "local"]
    check(local and local[0]["usable"] and local[0]["total_usd"] == 0, f"estimate_cost: {estimate['quotes']}")


def _generate(host: Host) -> None:
    ref = host.call("generate_video", {"prompt": f"{STORY} {host.target}", **SMALL})
    _check_order("generate_video", host, ref)
    host.job_id = ref["job_id"]


def _check_order(tool: str, host: Host, ref: dict[str, Any]) -> None:
    """Followed as a task to its end, or answered with a job under way: a fresh order cannot have ended in time."""
    states = ("succeeded",) if host.target.follows_tasks else LIVE
    check(ref["state"] in states, f"{tool} is {ref['state']}, not {' or '.join(states)}")
    check((ref["provider"], ref["cost_usd"], ref["is_preview"]) == ("local", 0, True), f"{tool}: {ref}")


def _check_job(host: Host) -> None:
    view = host.call("check_job", {"job_id": host.job_id, "wait_seconds": 45})
    check(view["state"] == "succeeded", f"check_job: {view['state']}")
    size = (view["width"], view["height"], view["fps"], view["duration"], view["has_audio"])
    check(size == (1280, 720, 24, 6, False), f"check_job: the film is {size}")
    check(view["pictures"], "check_job shows no contact sheet")
    start = "file://" if host.target.transport == "stdio" else "http://127.0.0.1:"
    check(view["video_url"].startswith(start), f"check_job: {view['video_url']}")


def _animate(host: Host) -> None:
    """From the other film's last frame. What no task is waited for is long, so that it can be cancelled."""
    size = SMALL if host.target.follows_tasks else LONG
    ref = host.call("animate_image", {"prompt": STORY, "image": f"{host.job_id}#last", **size})
    _check_order("animate_image", host, ref)
    host.animated_id = ref["job_id"]


def _from_audio(host: Host) -> None:
    sound = {"audio": f"data:audio/wav;base64,{base64.b64encode(_tone()).decode()}"}
    ref = host.call("generate_from_audio", {"prompt": STORY, "resolution": "720p", "fps": 24} | sound)
    _check_order("generate_from_audio", host, ref)


def _tone() -> bytes:
    """Two seconds of a hum."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(128 + step % 80 for step in range(16_000)))
    return file.getvalue()


def _extend(host: Host) -> None:
    ref = host.call("extend_video", {"video": host.job_id, "duration": 2})
    _check_order("extend_video", host, ref)


def _retake(host: Host) -> None:
    ref = host.call("retake_video", {"video": host.job_id, "start_time": 1, "duration": 2, "prompt": STORY})
    _check_order("retake_video", host, ref)


def _reframe(host: Host) -> None:
    ref = host.call("reframe_video", {"video": host.job_id, "aspect_ratio": "9:16", "resolution": "720p"})
    _check_order("reframe_video", host, ref)


def _join(host: Host) -> None:
    """What is joined may be there at once."""
    ref = host.call("join_videos", {"videos": [host.job_id, f"{host.job_id}@1-3"], "transition": "crossfade"})
    check(ref["state"] in (*LIVE, "succeeded"), f"join_videos is {ref['state']}")
    check((ref["provider"], ref["cost_usd"], ref["is_preview"]) == ("local", 0, True), f"join_videos: {ref}")


def _list(host: Host) -> None:
    listed = [row["job_id"] for row in host.call("list_jobs", {"limit": 100})["jobs"]]
    check({host.job_id, host.animated_id} <= set(listed), f"list_jobs: {listed}")
    check(listed.index(host.animated_id) < listed.index(host.job_id), "list_jobs: not the newest first")


def _cancel(host: Host) -> None:
    """A live job is cancelled; one that has ended stays as it is, which is a normal answer."""
    ref = host.call("cancel_job", {"job_id": host.animated_id})
    state = "succeeded" if host.target.follows_tasks else "cancelled"
    check((ref["job_id"], ref["state"]) == (host.animated_id, state), f"cancel_job: {ref}")


CALLS: dict[str, Callable[[Host], None]] = {
    "estimate_cost": _estimate,
    "generate_video": _generate,
    "check_job": _check_job,
    "animate_image": _animate,
    "cancel_job": _cancel,
    "list_jobs": _list,
    "generate_from_audio": _from_audio,
    "extend_video": _extend,
    "retake_video": _retake,
    "reframe_video": _reframe,
    "join_videos": _join,
}
"""In the order in which they are called; each uses what those before it left. Others are called as TOOLS says."""


def _resources(host: Host) -> dict[str, int]:
    listed = host.ask("resources/list")["resources"]
    for each in listed:
        _read(host, each["uri"], each.get("mimeType", ""))
    return {"resources": len(listed)}


def _templates(host: Host) -> dict[str, int]:
    listed = host.ask("resources/templates/list")["resourceTemplates"]
    values = {"job_id": host.job_id, "seconds": "1", "day": "today"}
    for each in listed:
        template = each["uriTemplate"]
        unknown = set(re.findall(r"{(\w+)}", template)) - values.keys()
        check(not unknown, f"no value for {', '.join(sorted(unknown))} of {template}")
        _read(host, template.format(**values), each.get("mimeType", ""))
    return {"templates": len(listed)}


def _read(host: Host, uri: str, mime_type: str) -> None:
    for content in host.ask("resources/read", "--uri", uri)["contents"]:
        data = base64.b64decode(content["blob"]) if "blob" in content else content["text"].encode()
        check(data, f"{uri} is empty")
        check(content.get("mimeType", "") == mime_type, f"{uri} is {content.get('mimeType')}, not {mime_type}")
        if "blob" in content:
            check(mime_type in BEGINS and BEGINS[mime_type] in data[:16], f"{uri} is no {mime_type}")
        if mime_type == "application/json":
            try:
                json.loads(data)
            except ValueError:
                raise Wrong(f"{uri} is no JSON") from None


def _prompts(host: Host) -> dict[str, int]:
    listed = host.ask("prompts/list")["prompts"]
    for each in listed:
        required = [argument["name"] for argument in each.get("arguments", []) if argument.get("required")]
        given = [f"{name}={STORY}" for name in required]
        options = ["--prompt-args", *given] if given else []
        got = host.ask("prompts/get", "--prompt-name", each["name"], *options)
        text = " ".join(message["content"].get("text", "") for message in got["messages"])
        check(text and (not given or STORY in text), f"prompt {each['name']} does not use what it was given")
    return {"prompts": len(listed)}
