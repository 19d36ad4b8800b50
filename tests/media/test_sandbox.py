"""What the media process may touch and use, tried by processes that reach for more; and that it is told what holds."""

import json
import os
import subprocess
import sys
import textwrap
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.media.client import MediaClient, MediaProcess
from ltx_mcp.media.messages import ChildFailed, Confinement, ProcessLimits, Sandbox
from tests.media.test_excess import with_scans

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("started_media")]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have nothing of this")

# What code that a hostile file took over would try; each line is a name and what is done.
TRIES = """
    import ctypes, json, os, resource, socket, sys
    from dataclasses import asdict
    from ltx_mcp.media.messages import ProcessLimits, Sandbox
    from ltx_mcp.media.sandbox import confine, limit

    own, folder, other, parent = sys.argv[1], sys.argv[2], sys.argv[3], os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)

    def called(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), "refused")

    tries = {
        "files read another": lambda: open(other, "rb").read(),
        "files list": lambda: os.listdir(os.path.dirname(other)),
        "files write another": lambda: open(other, "ab"),
        "files make beside": lambda: open(other + ".new", "wb"),
        "files change own": lambda: open(own, "ab"),
        "processes environment": lambda: open(f"/proc/{parent}/environ", "rb").read(),
        "processes memory": lambda: open(f"/proc/{parent}/mem", "rb"),
        "processes trace": lambda: called(libc.ptrace(16, parent, 0, 0)),
        "processes signal": lambda: os.kill(parent, 0),
        "processes limits": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE),
        "processes start": os.fork,
        "processes become": lambda: os.execv(sys.executable, [sys.executable, "-c", "print('{}')"]),
        "network tcp": lambda: socket.socket(socket.AF_INET),
        "network unix": lambda: socket.socket(socket.AF_UNIX),
        "network pair": socket.socketpair,
        "network ring": lambda: called(libc.syscall(425, 1, ctypes.create_string_buffer(120))),
    }

    def outcome(act):
        try:
            act()
        except OSError as error:
            return error.strerror
        return "done"

    held = confine(Sandbox((own,), (folder,)))
    allowed = {
        "read own": lambda: open(own, "rb").read(),
        "write": lambda: open(os.path.join(folder, "new"), "wb").write(b"x"),
        "rename": lambda: os.replace(os.path.join(folder, "new"), os.path.join(folder, "newer")),
        "import": lambda: __import__("wave"),
    }
    tried = {name: outcome(act) for name, act in tries.items()}
    print(json.dumps([asdict(held), tried, {name: outcome(act) for name, act in allowed.items()}]))
"""


def attempt(tmp_path: Path) -> tuple[Confinement, dict[str, str], dict[str, str]]:
    """What holds by the process's own word, what came of each try, and of what it must be able to do."""
    own, other, folder = tmp_path / "own", tmp_path / "other" / "secret", tmp_path / "out"
    for made in (other.parent, folder):
        made.mkdir()
    own.write_text("own", encoding="utf-8")
    other.write_text("secret", encoding="utf-8")
    command = [sys.executable, "-c", textwrap.dedent(TRIES), str(own), str(folder), str(other)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    held, tried, allowed = json.loads(told)
    return Confinement(**held), tried, allowed


@linux
def test_what_is_told_to_hold_holds_and_nothing_else_is_told(tmp_path: Path) -> None:
    held, tried, allowed = attempt(tmp_path)
    assert set(allowed.values()) == {"done"}
    for kind, holds in asdict(held).items():
        came = {name: outcome for name, outcome in tried.items() if name.startswith(kind)}
        assert came
        refused = {name for name, outcome in came.items() if outcome != "done"}
        assert (refused == set(came)) if holds else (refused < set(came)), (kind, came)


@linux
async def test_the_media_process_tells_what_holds_for_it(tmp_path: Path) -> None:
    media = MediaClient()
    assert await media.confinement() == attempt(tmp_path)[0]
    await media.close()


@linux
async def test_a_file_outside_its_room_is_closed_to_the_child(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 36)).save(tmp_path / name / "a.png")
    async with aclosing(MediaProcess(Sandbox((str(tmp_path / "in"),)))) as child:
        limits = ProcessLimits(60)
        assert (await child.run("picture", {"path": str(tmp_path / "in" / "a.png")}, limits))["width"] == 64
        holds = await child.run("confinement", {}, limits)
        beyond = child.run("picture", {"path": str(tmp_path / "out" / "a.png")}, limits)
        if holds["files"]:
            with pytest.raises(CallerError, match="Permission denied"):
                await beyond
        else:
            assert (await beyond)["width"] == 64


async def test_work_beyond_its_processor_time_ends_its_child_and_is_late(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(with_scans(20, (16_000, 6_000)))
    async with aclosing(MediaProcess(Sandbox((str(tmp_path),)))) as child:
        with pytest.raises(ChildFailed) as caught:
            await child.run("picture", {"path": str(tmp_path / "a.jpg")}, ProcessLimits(600, cpu_s=1))
        assert caught.value.late
        assert not child.is_alive


async def test_processor_time_is_counted_for_each_work_anew(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(with_scans(100, (4_000, 3_000)))
    async with aclosing(MediaProcess(Sandbox((str(tmp_path),)))) as child:
        for _ in range(4):
            facts = await child.run("picture", {"path": str(tmp_path / "a.jpg")}, ProcessLimits(600, cpu_s=3))
            assert facts["width"] == 4_000


async def test_a_file_beyond_its_size_is_a_storage_failure(tmp_path: Path) -> None:
    Image.effect_noise((2_500, 2_500), 90).save(tmp_path / "a.png")
    arguments = {"path": str(tmp_path / "a.png"), "out": str(tmp_path / "b.png"), "target": "png"} | {
        "width": 2_500,
        "height": 2_500,
    }
    async with aclosing(MediaProcess(Sandbox((str(tmp_path),), (str(tmp_path),)))) as child:
        with pytest.raises(LtxError, match="too large") as caught:
            await child.run("convert", arguments, ProcessLimits(600, file_bytes=0))
        assert caught.value.code is ErrorCode.STORAGE_FAILED
        assert (await child.run("convert", arguments, ProcessLimits(600)))["width"] == 2_500


@linux
def test_files_left_open_are_bounded() -> None:
    code = """
        import os
        from ltx_mcp.media.messages import ProcessLimits
        from ltx_mcp.media.sandbox import limit
        limit(ProcessLimits(1, open_files=20))
        opened = 0
        try:
            while opened < 1000:
                os.open("/dev/null", os.O_RDONLY)
                opened += 1
        except OSError as error:
            print(error.errno, opened < 20)
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert told.stdout == "24 True\n"


@linux
async def test_the_child_cannot_read_the_keys_of_its_parent(tmp_path: Path) -> None:
    """The same from a server's view: a parent with a key, whose confined child asks the kernel for it."""
    code = """
        import os
        from ltx_mcp.media.messages import Sandbox
        from ltx_mcp.media.sandbox import confine
        held = confine(Sandbox())
        try:
            found = b"a-secret-value" in open(f"/proc/{os.getppid()}/environ", "rb").read()
        except OSError:
            found = False
        print(held.processes, found)
    """
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {textwrap.dedent(code)!r}], env={{}})"
    environment: dict[str, Any] = os.environ | {"FAL_KEY": "a-secret-value"}
    told = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout in ("True False\n", "False True\n")
