"""A shared service of the tests: `ltx-mcp serve --http` with a login, in a process of its own, and what it wrote down.
Not a test.
"""

import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from ltx_mcp.domain.job import Job
from tests.conversations.stage import environment
from tests.jobs.test_processes import Look, processes_of, wait_for
from tests.logins.provider import IdentityProvider
from tests.patience import HANG_S

LISTENS = re.compile(r"serves MCP at http://\S+")
TODAY = "2026-07-28"
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": TODAY,
    "Mcp-Method": "tools/list",
}
FIRST_PORT, PORTS = 4_000, 8_000
META = "io.modelcontextprotocol/"
LIST: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {"_meta": {f"{META}protocolVersion": TODAY, f"{META}clientCapabilities": {}}},
}


@dataclass(frozen=True)
class Service:
    """A running service. `settings` are those it has a login by."""

    home: Path
    url: str
    log: Path

    def ask(self, token: str) -> httpx2.Response:
        """The answer to a list of tools, with this token."""
        headers = HEADERS | {"Authorization": f"Bearer {token}"}
        return httpx2.post(self.url, json=LIST, headers=headers, trust_env=False, timeout=HANG_S)

    def job(self, job_id: str) -> Job:
        """A row, as it stands."""
        look = Look(self.home)
        with closing(look.database):
            return look.job(job_id)


@contextmanager
def service(home: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """A service on a free port; at the end nothing works on its home any more."""
    home.mkdir(parents=True, exist_ok=True)
    public, log = f"http://127.0.0.1:{free_port()}", home.parent / "log"
    command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--port", public.rpartition(":")[2]]
    more = {"LTX_MCP_PUBLIC_URL": public, "LTX_MCP_SIGNING_KEY": secrets.token_urlsafe(32), **settings}
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, env=environment(home, more), stderr=stderr)
    try:
        wait_for(lambda: LISTENS.search(log.read_text(encoding="utf-8")) or process.poll() is not None, HANG_S)
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield Service(home, f"{public}/mcp", log)
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not processes_of(home), HANG_S)


def free_port() -> int:
    """A port that nobody had a moment ago. It is below those that the system gives to connections and to who asks for
    any: there are many before a server has it."""
    while True:
        port = FIRST_PORT + secrets.randbelow(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def of_issuer(provider: IdentityProvider) -> dict[str, str]:
    """The settings of a service that takes this provider's tokens, and logs all it does."""
    return {"LTX_MCP_OIDC_ISSUER": provider.issuer, "LTX_MCP_LOG_LEVEL": "DEBUG"}
