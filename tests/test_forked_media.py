"""A media process that the fast tests fork is as one that the program starts: its confinement, limits and ends."""

import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from ltx_mcp.media import client
from ltx_mcp.media.client import MediaProcess
from ltx_mcp.media.messages import ChildFailed, ProcessLimits, Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]
LIMITS = ProcessLimits(wall_s=60, cpu_s=30)


async def seen_by(child: MediaProcess, folder: Path) -> dict[str, Any]:
    """What such a process reads, what holds for it, and how it ends."""
    async with aclosing(child):
        picture = await child.run("picture", {"path": str(folder / "in" / "a.png")}, LIMITS)
        holds = await child.run("confinement", {}, LIMITS)
        with pytest.raises(Exception, match=r".") as beyond:
            await child.run("picture", {"path": str(folder / "out" / "a.png")}, LIMITS)
        assert child._process is not None
        pid = child._process.pid
        proc = Path("/proc") / str(pid)
        limits = (proc / "limits").read_text(encoding="ascii")
        surroundings = (os.readlink(proc / "cwd"), os.getsid(pid) == pid, len(list((proc / "task").iterdir())))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ChildFailed) as killed:
            await child.run("picture", {"path": str(folder / "in" / "a.png")}, LIMITS)
        return {
            "picture": picture,
            "holds": holds,
            "beyond": str(beyond.value),
            "limits": limits,
            "surroundings": surroundings,
            "end": (killed.value.message, child._process.returncode),
        }


async def test_it_is_confined_limited_and_ended_as_a_started_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked_media: str
) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 48), "teal").save(tmp_path / name / "a.png")
    room = Sandbox(reads=(str(tmp_path / "in"),))
    assert (vars(client)["open_process"] is anyio.open_process) == (not forked_media)
    forked = await seen_by(MediaProcess(room), tmp_path)
    monkeypatch.setattr(client, "open_process", anyio.open_process)
    assert forked == await seen_by(MediaProcess(room), tmp_path)
