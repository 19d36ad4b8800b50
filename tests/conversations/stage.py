"""Where a conversation happens: the emulator in a process of its own, and what it can be told and asked."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
FOR_EVER_S, MAX_S = 3600, 60


@dataclass(frozen=True)
class Providers:
    """The emulated providers, by their control addresses. No order ends before `finish` is called."""

    settings: Mapping[str, str]
    client: httpx.Client

    def begin(self) -> None:
        """Forget everything; from now on an order is worked on at once, and without end."""
        self._tell("reset")
        self.client.delete("/control/faults").raise_for_status()
        self._tell("times", wait_s=0, work_s=FOR_EVER_S)

    def keep_in_line(self) -> None:
        """From now on orders wait before anybody works on them."""
        self._tell("times", wait_s=FOR_EVER_S)

    def begin_work(self) -> None:
        """Orders wait no longer."""
        self._tell("times", wait_s=0)

    def finish(self) -> None:
        """All orders are done now, and later ones at once."""
        self._tell("times", wait_s=0, work_s=0)

    def take_their_time(self) -> None:
        """Later orders end when `finish` is called again, once those before have been fetched."""
        self._tell("times", wait_s=0, work_s=FOR_EVER_S)

    def go_wrong(self, provider: str, step: str, kind: str, **options: Any) -> None:
        """One thing goes wrong, once."""
        self._tell("faults", provider=provider, step=step, kind=kind, options=options)

    def orders(self) -> list[dict[str, Any]]:
        """Every order they took."""
        taken: list[dict[str, Any]] = self._ask("orders")["orders"]
        return taken

    def asked_to_order(self) -> list[str]:
        """Each order that came in, taken or not, by the name of the provider."""
        return [call["provider"] for call in self._ask("calls") if call["step"] == "submit"]

    def _ask(self, what: str) -> Any:
        return self.client.get(f"/control/{what}").raise_for_status().json()

    def _tell(self, what: str, **told: Any) -> None:
        self.client.post(f"/control/{what}", json=told).raise_for_status()


@contextmanager
def emulated(films: Path) -> Iterator[Providers]:
    """`ltx-mcp emulate` on a free port; its films are drawn once and kept in `films`."""
    command = [sys.executable, "-m", "ltx_mcp", "emulate", "--port", "0", "--films", str(films)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, cwd=ROOT, encoding="utf-8") as process:
        try:
            settings = _read_settings(process)
            url = settings["LTX_MCP_FAL_QUEUE_URL"]
            with httpx.Client(base_url=url, trust_env=False, timeout=MAX_S) as client:
                yield Providers(settings, client)
        finally:
            process.kill()


def _read_settings(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What it prints for a shell, up to the blank line, or until it dies."""
    assert process.stdout is not None
    settings = {}
    while line := process.stdout.readline().strip():
        name, _, value = shlex.split(line)[1].partition("=")
        settings[name] = value
    return settings


def environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """What a server, and a person at a terminal beside it, are started with: no key but the emulator's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(home.parent)} | dict(settings)
