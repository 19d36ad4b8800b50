"""A network of our own whose only way out is a CONNECT proxy: the emulated providers under their real names and TLS,
the proxy that alone reaches them, and a network namespace that reaches nothing but the proxy. Not a test.

Run as `unshare --net python -m tests.providers.walled FOLDER FILMS PROVIDER…`; orders a film at each by the real
command, and prints as JSON what became of it and where the proxy was asked to lead.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from ltx_mcp.emulator.app import make_app, make_state, make_web, served, settings
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.patience import HANG_S
from tests.providers.gate import LOOPBACK, Certificates, Gate, certify, gated

MEDIA = "media.example.com"
BYTECOMPUTE = "api.bytecompute.example.com"
NAMES = (
    "queue.fal.run",
    "rest.fal.ai",
    "api.fal.ai",
    "v3.fal.media",
    "api.ltx.io",
    "beta.netwrck.com",
    BYTECOMPUTE,
    MEDIA,
)
INSIDE, OUTSIDE = "10.9.0.2", "10.9.0.1"
KEYS = {name: value for name, value in settings("").items() if name.endswith("_KEY")}
ENVIRONMENT = {**KEYS, "LTX_MCP_BYTECOMPUTE_URL": f"https://{BYTECOMPUTE}"}
"""The providers' own addresses, and one for the provider that has none."""


def _under_any_name(app: ASGIApp) -> ASGIApp:
    """The emulator serves names of this machine alone; here it stands for others."""

    async def renamed(scope: Scope, receive: Receive, send: Send) -> None:
        heads = [(name, b"localhost" if name == b"host" else value) for name, value in scope.get("headers", ())]
        await app({**scope, "headers": heads}, receive, send)

    return renamed


@contextmanager
def emulated(folder: Path, films: Path) -> Iterator[tuple[int, EmulatorState, Certificates]]:
    """The emulated providers by TLS on a port of loopback; their films lie on a host of its own name."""
    certificates, world = certify(folder, NAMES), make_state()
    world.wait_s, world.work_s = 0.0, 0.05
    with socket.create_server((LOOPBACK, 0)) as listener:
        app = _under_any_name(make_app(world, films, f"https://{MEDIA}"))
        with served(make_web(app, certificates.files), listener):
            yield listener.getsockname()[1], world, certificates


@asynccontextmanager
async def walled(host: str, folder: Path, films: Path) -> AsyncIterator[tuple[Gate, EmulatorState, dict[str, str]]]:
    """The gate, the world behind it, and the environment by which they are found."""
    with emulated(folder, films) as (port, world, certificates):
        async with gated(port, host=host) as gate:
            yield gate, world, {**ENVIRONMENT, "HTTPS_PROXY": gate.url, "SSL_CERT_FILE": str(certificates.trust)}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=HANG_S)


@contextmanager
def _inner_network() -> Iterator[tuple[str, ...]]:
    """The words before a command by which it runs where nothing but OUTSIDE is reached."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as holder:
        inside = ("nsenter", "--net", "--target", str(holder.pid))
        while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            assert holder.poll() is None
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "outer", "type", "veth", "peer", "name", "inner", "netns", str(holder.pid))
        _run("ip", "address", "add", f"{OUTSIDE}/30", "dev", "outer")
        _run("ip", "link", "set", "outer", "up")
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "address", "add", f"{INSIDE}/30", "dev", "inner")
        _run(*inside, "ip", "link", "set", "inner", "up")
        yield inside
        assert holder.stdin is not None
        holder.stdin.close()


async def _order(inside: tuple[str, ...], provider: str, environment: dict[str, str], picture: Path) -> dict[str, Any]:
    sized = ["--resolution", "720p"] if provider in ("ltx", "bytecompute") else []
    what = ["animate", str(picture)] if provider in ("fal", "ltx") else ["generate"]
    ltx_mcp = [sys.executable, "-P", "-m", "ltx_mcp", *what, "a pond", "--provider", provider, "--yes", *sized]
    with anyio.fail_after(HANG_S):
        ended = await anyio.run_process([*inside, *ltx_mcp], env=environment, check=False)
    return {"code": ended.returncode, "out": ended.stdout.decode(), "err": ended.stderr.decode()}


async def _main(folder: Path, films: Path, providers: list[str]) -> None:
    from PIL import Image

    picture = folder / "pond.png"
    Image.new("RGB", (64, 36), "teal").save(picture)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME", "TMPDIR")}
    told: dict[str, Any] = {}
    with _inner_network() as inside:
        async with walled(OUTSIDE, folder, films) as (gate, world, found):
            environment = {**kept, **found, "LTX_MCP_HOME": str(folder / "home"), "LTX_MCP_INPUT_DIRS": str(folder)}
            for provider in providers:
                told[provider] = await _order(inside, provider, environment, picture)
        orders = [order.provider for order in world.orders]
        print(json.dumps({"told": told, "orders": orders, "targets": sorted(set(gate.targets))}))


if __name__ == "__main__":
    anyio.run(_main, Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
