"""Where the clients run: a home of their own, an emulator behind every provider, some jobs to page through, and an
`ltx-mcp` on the path that notes what it is asked and what it answers."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx_mcp.emulator.app import running as emulating
from ltx_mcp.emulator.app import settings
from ltx_mcp.providers.catalog_loader import read_providers, setting_names
from tests.clients import model
from tests.clients.environments import DRIVERS, Client
from tests.clients.model import Model
from tests.clients.script import conversation
from tests.kept import kept_films

LONGEST_S = 240
PROMPT = "Make a six second video of a paper boat in the rain, as a preview."
SEED = ("a lighthouse at dawn", "a kettle that sings")
"""Earlier jobs, so that a list has more than one page."""


@dataclass(frozen=True)
class Run:
    """What came of one client: what it printed, what its model was offered and shown, and what our server wrote."""

    client: Client
    exit_code: int
    said: str
    model: Model
    asked: list[dict[str, Any]]
    answered: list[dict[str, Any]]


@dataclass(frozen=True)
class Room:
    """The folder of one run of all, and the environment in which clients start."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, client: Client) -> Run:
        """Run a client to its end."""
        place = self.folder / client.name
        for name in ("home", "work", "seen"):
            (place / name).mkdir(parents=True)
        shim = self._shim(place)
        for name, text in client.files.items():
            path = place / "home" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        kept = place / "bodies.jsonl"
        with model.running(conversation(client.title), kept) as (url, scripted):
            environment = self._environment(client, place, url)
            if client.install:
                ours = [sys.executable, "-m", "ltx_mcp", "install", client.install, "--force", "--yes"]
                subprocess.run(
                    [*ours, "--command", str(shim)], env=environment, check=True, capture_output=True, timeout=60
                )
            exit_code, said = _run(_command(client, place, url), environment, place / "work")
        asked, answered = (_messages(place / "seen", side) for side in ("in", "out"))
        return Run(client, exit_code, said, scripted, asked, answered)

    def _shim(self, place: Path) -> Path:
        seen, path = shlex.quote(str(place / "seen")), place / "shim" / "ltx-mcp"
        path.parent.mkdir()
        ours = {name: value for name, value in self.environment.items() if name.startswith("LTX_") or "_KEY" in name}
        lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in ours.items())]
        server = f"{shlex.quote(sys.executable)} -P -m ltx_mcp"
        lines.append(f"tee {seen}/in.$$ | {server} | tee {seen}/out.$$")
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        path.chmod(0o755)
        return path

    def _environment(self, client: Client, place: Path, url: str) -> dict[str, str]:
        home = str(place / "home")
        path = [str(place / "shim"), *map(str, client.programs), self.environment["PATH"]]
        return dict(self.environment) | {
            "PATH": os.pathsep.join(path),
            "HOME": home,
            "CLAUDE_CONFIG_DIR": str(place / "home" / "claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "ENABLE_TOOL_SEARCH": "false",
            "GEMINI_CLI_HOME": home,
            "GEMINI_CLI_NO_RELAUNCH": "true",
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
            "GEMINI_API_KEY": "none",
            "OPENAI_API_KEY": "none",
            "ANTHROPIC_API_KEY": "none",
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_BASE": f"{url}/v1",
            "ANTHROPIC_BASE_URL": url,
            "GOOGLE_GEMINI_BASE_URL": url,
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            "MASTRA_TELEMETRY_DISABLED": "1",
            "CREWAI_DISABLE_TELEMETRY": "true",
            "OTEL_SDK_DISABLED": "true",
        }


@contextmanager
def opened(folder: Path) -> Iterator[Room]:
    """A room in `folder`, with the emulator running and two jobs made. At the end no process works on its home."""
    theirs = {name for facts in read_providers() for name in setting_names(facts)}
    ours = ("LTX_", "CLAUDE", "ANTHROPIC", "GEMINI", "GOOGLE", "OPENAI", "VIRTUAL_ENV", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if name not in theirs and not name.startswith(ours)}
    with emulating(kept_films() / "emulated") as (address, _):
        environment = kept | settings(address) | {"LTX_MCP_HOME": str(folder / "ltx")}
        for prompt in SEED:
            words = ["generate", prompt, "--provider", "local", "--output", str(folder)]
            subprocess.run(
                [sys.executable, "-m", "ltx_mcp", *words], env=environment, check=True, capture_output=True, timeout=120
            )
        yield Room(folder, environment)


def _command(client: Client, place: Path, url: str) -> list[str]:
    if not isinstance(client.run, str):
        return [word.replace("$PROMPT", PROMPT).replace("$URL", url) for word in client.run]
    # beside what it imports, which is how Node finds it
    driver = client.folder / client.run
    shutil.copyfile(DRIVERS / client.run, driver)
    return ["python" if client.python else "node", str(driver), PROMPT]


def _run(command: list[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None, command[0]
    process = subprocess.Popen(
        [program, *command[1:]],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        said += f"\nno end within {LONGEST_S} s"
    return process.returncode, said


def _messages(folder: Path, side: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob(f"{side}.*"), key=lambda path: path.stat().st_mtime):
        for line in path.read_text(encoding="utf-8").splitlines():
            found.append(json.loads(line))
    return found
