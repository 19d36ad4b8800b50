"""An order at fal, emulated: how soon it is there, how soon its end is told, and what it takes in requests.

Beside a raw POST by httpx, and beside the `subscribe` of fal's official client, on emulators of the same kind.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import trustme

from bench.table import Row, Table, count, ms
from bench.wire import OURS, Server, listed, structured

ORDERS = 15
WAIT_S, WORK_S = 0.2, 0.4
MORE_BUDGET_S, TOLD_BUDGET_S, SAVED_BUDGET_S, REQUESTS_BUDGET = 0.015, 0.150, 0.500, 4
BODY = {"prompt": "A lighthouse", "duration": 6, "resolution": "1080p", "fps": 25, "generate_audio": True}
SMALL = {"provider": "fal", "model": "ltx-2.3-fast", "generate_audio": False}
TOKEN = "bench"


@dataclass
class Figures:
    """Seconds of each order, in turn."""

    raw: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    more: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    saved: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    official_submit: list[float] = field(default_factory=list)
    official_told: list[float] = field(default_factory=list)
    official_requests: list[float] = field(default_factory=list)


def measure() -> Table:
    """Orders in turn: ours over stdio, then a raw one, each at the same emulator; then the official client."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            emulator(folder / "films") as (base_url, settings),
            listed(OURS, folder / "home", more=settings) as server,
        ):
            _warm(server, base_url, settings)
            for number in range(ORDERS):
                _ours(server, base_url, f"A lighthouse, take {number}", figures)
                _raw(base_url, settings["FAL_KEY"], figures)
        _official(folder, figures)
    return Table(
        "fal: an order at the emulated fal.ai, which finishes it after 0.6 s",
        [
            Row("raw httpx POST -> the emulator has the order", figures.raw, ms),
            Row("generate_video called -> the emulator has the order", figures.ours, ms),
            Row("  ours beyond the raw POST of the same round", figures.more, ms, MORE_BUDGET_S),
            Row("fal-client submit, call to answer (over TLS)", figures.official_submit, ms),
            Row("done at fal -> the waiting call's progress says so", figures.told, ms, TOLD_BUDGET_S),
            Row("done at fal -> succeeded, with film and sheet", figures.saved, ms, SAVED_BUDGET_S),
            Row("done at fal -> fal-client subscribe returns (no film)", figures.official_told, ms),
            Row("requests an order, ours (with the film's download)", figures.requests, count, REQUESTS_BUDGET),
            Row("requests an order, fal-client (no film)", figures.official_requests, count),
        ],
        [
            f"{ORDERS} orders in turn, 6 s 1080p without sound, drawn before. The official client polls each 0.1 s,",
            "so its requests grow with the time an order takes; ours do not. It only speaks https: its emulator has a",
            "throw-away certificate.",
        ],
    )


@contextmanager
def emulator(films: Path, *tls: str) -> Iterator[tuple[str, dict[str, str]]]:
    """`ltx-mcp emulate` in a process of its own: its address and the settings it prints."""
    command = [sys.executable, "-m", "ltx_mcp", "emulate", "--port", "0", "--wait", str(WAIT_S), "--work", str(WORK_S)]
    process = subprocess.Popen(
        [*command, "--films", str(films), *tls], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        settings: dict[str, str] = {}
        while line := process.stdout.readline().strip():
            key, _, value = line.removeprefix("export ").partition("=")
            settings[key] = value.strip("'")
        yield settings["LTX_MCP_FAL_QUEUE_URL"], settings
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _warm(server: Server, base_url: str, settings: dict[str, str]) -> None:
    """One order of each kind beforehand: the film is drawn, everything is imported."""
    _ours(server, base_url, "A first one", Figures())
    _raw(base_url, settings["FAL_KEY"], Figures())


def _ours(server: Server, base_url: str, prompt: str, figures: Figures) -> None:
    before = len(_calls(base_url))
    called_at = time.time()
    job = server.call("generate_video", prompt=prompt, **SMALL)
    placed_at = _last_order(base_url)
    figures.ours.append(placed_at - called_at)
    server.told.clear()
    number = server.send(
        "tools/call",
        {
            "name": "check_job",
            "arguments": {"job_id": job["job_id"], "wait_seconds": 45, "frames": False},
            "_meta": {"progressToken": TOKEN},
        },
    )
    view = structured(server.receive(number))
    ended_at = time.time()
    if view["state"] != "succeeded":
        raise SystemExit(f"The order {view['state']}: {view}")
    done_at = placed_at + WAIT_S + WORK_S
    after = [each for each in server.told if each.at >= done_at]
    word = next(each.at for each in after if _says(each.message, "saving") or _says(each.message, "succeeded"))
    figures.told.append(word - done_at)
    figures.saved.append(ended_at - done_at)
    figures.requests.append(len(_calls(base_url)) - before)


def _says(message: dict[str, Any], word: str) -> bool:
    return word in message["params"].get("message", "")


def _raw(base_url: str, key: str, figures: Figures) -> None:
    """What the order costs at the least: one POST on a fresh connection, without the 20 ms that httpx.post itself
    takes to load certificates nobody asks for here."""
    began = time.time()
    url = f"{base_url}/fal-ai/ltx-2.3/text-to-video/fast"
    with httpx.Client(verify=False) as client:
        client.post(url, json=BODY, headers={"Authorization": f"Key {key}"}).raise_for_status()
    figures.raw.append(_last_order(base_url) - began)
    if figures.ours:
        figures.more.append(figures.ours[-1] - figures.raw[-1])


def _last_order(base_url: str) -> float:
    orders = httpx.get(f"{base_url}/control/orders").json()["orders"]
    return datetime.fromisoformat(orders[-1]["placed_at"]).timestamp()


def _calls(base_url: str, verify: Any = True) -> list[Any]:
    calls: list[Any] = httpx.get(f"{base_url}/control/calls", verify=verify).json()
    return calls


def _official(folder: Path, figures: Figures) -> None:
    """The official client against an emulator with a throw-away certificate."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    trust, chain, key = (folder / name for name in ("trust.pem", "chain.pem", "key.pem"))
    authority.cert_pem.write_to_path(trust)
    certificate.private_key_pem.write_to_path(key)
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    with emulator(folder / "films", "--tls-cert", str(chain), "--tls-key", str(key)) as (base_url, settings):
        host = base_url.removeprefix("https://")
        env = os.environ | {
            "FAL_KEY": settings["FAL_KEY"],
            "FAL_RUN_HOST": host,
            "FAL_QUEUE_RUN_HOST": host,
            "SSL_CERT_FILE": str(trust),
        }
        command = [sys.executable, str(Path(__file__).with_name("official.py")), str(ORDERS)]
        told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
        context = ssl.create_default_context(cafile=str(trust))
        figures.official_requests.append(len(_calls(base_url, context)) / ORDERS)
        orders = httpx.get(f"{base_url}/control/orders", verify=context).json()["orders"]
    for line, order in zip(map(json.loads, told), orders, strict=True):
        done_at = datetime.fromisoformat(order["placed_at"]).timestamp() + WAIT_S + WORK_S
        figures.official_submit.append(line["submitted"] - line["began"])
        figures.official_told.append(line["ended"] - done_at)
