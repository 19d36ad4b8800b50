"""No token is written down: not in a log at DEBUG, nor in a trace, nor in an answer, nor on the disk."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from ltx_mcp.private import open_private
from ltx_mcp.server.auth.principal import ORDER, READ
from ltx_mcp.server.auth.tokens_file import new_token, to_row_text
from tests.cli.conftest import environment
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.server.auth.issuer import Issuer, public_jwk, signed
from tests.server.auth.service import bearer, begin, call, send

LOOKER, BACKEND, STRANGE = (new_token() for _ in range(3))
TRACED = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from ltx_mcp.__main__ import main
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=open(sys.argv.pop(1), "a"))))
trace.set_tracer_provider(provider)
main()
"""
"""The command line with every span written to the file that its first argument names."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as opened:
        opened.keys = [public_jwk("RS256", "rsa")]
        yield opened


@pytest.fixture
def log(home: Path, issuer: Issuer) -> Iterator[tuple[str, Path]]:
    """A service at DEBUG: its address, and the file that its log goes to. Its spans go to `traces` beside it."""
    tokens, path = home.with_name("tokens.toml"), home.with_name("log")
    rows = (
        to_row_text(LOOKER, "looker", (READ,), may_act=False, expires=None),
        to_row_text(BACKEND, "backend", (READ, ORDER), may_act=True, expires=None),
    )
    with open_private(tokens, "wb") as file:
        file.write("".join(rows).encode())
    given = {
        "TOKENS_FILE": str(tokens),
        "OIDC_ISSUER": issuer.name,
        "OIDC_AUDIENCE": "films",
        "SIGNING_KEY": "k" * 32,
        "PUBLIC_URL": "https://films.example.com",
        "LOG_LEVEL": "DEBUG",
    }
    env = environment(home) | {f"LTX_MCP_{name}": value for name, value in given.items()}
    traces = str(home.with_name("traces"))
    command = [sys.executable, "-c", TRACED, traces, "serve", "--http", "--port", "0"]
    with path.open("wb") as out:
        process = subprocess.Popen(command, env=env, stderr=out)
    yield wait_for(lambda: re.search(r"http://127\.0\.0\.1:\d+(?=/mcp; )", path.read_text("utf-8")), HANG_S)[0], path
    process.terminate()
    process.wait(HANG_S)
    wait_for(lambda: not processes_of(home), HANG_S)


async def drive(address: str, issued: dict[str, str]) -> list[httpx.Response]:
    """Each kind of success and failure that a token can lead to, in both eras."""
    order = call("generate_video", prompt="a pond", resolution="480p")
    answers = []
    async with httpx.AsyncClient(base_url=address, timeout=HANG_S) as web:
        for token in (LOOKER, BACKEND, STRANGE, *issued.values()):
            answers.append(await send(web, token, "tools/call", call("list_jobs")))
            answers.append(await send(web, token, "tools/call", order))
            answers.append(await send(web, token, "tools/call", order, {}, X_LTX_User="u1"))
            answers.append(await send(web, token, "tools/call", order, {}, Host="evil.example"))
            answers.append(await web.get(f"/mcp?access_token={token}", headers={"Accept": "text/event-stream"}))
            answers.append(await web.get(f"/videos/job_a.mp4?token={token}", headers=bearer(token)))
            answers.append(await web.post("/mcp", headers=bearer(token), content=b"{"))
        for token in (LOOKER, issued["good"]):
            headers = await begin(web, token)
            body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": order}
            answers.append(await web.post("/mcp", json=body, headers=headers))
    return answers


def test_no_token_is_written_down(home: Path, issuer: Issuer, log: tuple[str, Path]) -> None:
    now = time.time()
    claims = {"iss": issuer.name, "aud": "films", "sub": "ann", "iat": now, "exp": now + 300, "scope": "ltx:read"}
    issued = {
        "good": signed(claims),
        "foreign": signed(claims, 2),
        "strange kid": signed(claims, kid="strange"),
        "other audience": signed(claims | {"aud": "other"}),
        "expired": signed(claims | {"exp": now - 300}),
        "no scope": signed(claims | {"scope": ""}),
        "too long": signed(claims | {"more": "x" * 30_000}),
    }
    answers = anyio.run(drive, log[0], issued)
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 403, 404, 421}
    written = log[1].read_text(encoding="utf-8") + "".join(f"{answer.text}{answer.headers}" for answer in answers)
    assert "DEBUG" in written
    assert "POST /mcp" in written
    traces = home.with_name("traces").read_text(encoding="utf-8")
    assert '"name": "tools/call generate_video"' in traces
    written += traces
    secrets = {part for token in issued.values() for part in (token, token.rpartition(".")[2])}
    for secret in {LOOKER, BACKEND, STRANGE, *secrets}:
        assert secret not in written
        for path in (each for each in home.rglob("*") if each.is_file()):
            assert secret.encode() not in path.read_bytes(), path
