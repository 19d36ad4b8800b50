"""`ltx-mcp emulate` as a person meets it: settings for a shell, a server behind them, and a clean end."""

import os
import shlex
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.cli.conftest import first_line
from tests.conftest import ENDS_S
from tests.patience import HANG_S

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def emulate(tmp_path: Path) -> Iterator[Start]:
    """Starts `ltx-mcp emulate` on a free port."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ltx_mcp", "emulate", "--port", "0", "--films", str(tmp_path), *options]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, encoding="utf-8"))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def settings_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """What it prints up to the blank line, as a shell reads it."""
    told: dict[str, str] = {}
    line = first_line(process.stdout)
    assert process.stdout is not None
    while line.strip():
        export, setting = shlex.split(line)
        assert export == "export"
        name, _, value = setting.partition("=")
        told[name] = value
        line = process.stdout.readline()
    return told


def order(told: dict[str, str], client: httpx.Client) -> httpx.Response:
    url = told["LTX_MCP_FAL_QUEUE_URL"] + "/fal-ai/ltx-2.3/text-to-video/fast"
    return client.post(url, json={"prompt": "a pond"}, headers={"Authorization": f"Key {told['FAL_KEY']}"})


def test_the_settings_it_prints_lead_to_emulated_providers(emulate: Start) -> None:
    process = emulate("--wait", "0", "--work", "600")
    told = settings_of(process)
    assert {"FAL_KEY", "LTX_API_KEY", "NETWRCK_API_KEY", "BYTECOMPUTE_API_KEY"} <= set(told)
    url = told["LTX_MCP_FAL_QUEUE_URL"]
    assert first_line(process.stderr) == (
        f"ltx-mcp emulates the providers at {url}: nothing is ordered and nothing costs; Ctrl-C ends it.\n"
    )
    with httpx.Client() as client:
        assert order(told, client).status_code == 200
        assert client.get(url + "/control/orders").json()["orders"][0]["state"] == "running"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_it_ends_cleanly_and_soon_though_a_stream_is_open(emulate: Start, name: str) -> None:
    process = emulate("--wait", "600")
    told = settings_of(process)
    headers = {"Authorization": f"Key {told['FAL_KEY']}"}
    with httpx.Client(headers=headers) as client:
        url = order(told, client).json()["status_url"] + "/stream"
        with client.stream("GET", url) as answer:
            lines = answer.iter_lines()
            assert "IN_QUEUE" in next(lines)
            began = time.monotonic()
            process.send_signal(signal.Signals[name])
            assert process.wait(HANG_S) == 0
    assert time.monotonic() - began < ENDS_S
    assert process.stderr is not None
    assert len(process.stderr.read().splitlines()) == 1


def test_it_speaks_https_with_a_certificate_of_ones_own(emulate: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    told = settings_of(emulate("--tls-cert", str(chain), "--tls-key", str(key)))
    assert told["LTX_MCP_FAL_QUEUE_URL"].startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with httpx.Client(verify=trust) as client:
        assert order(told, client).status_code == 200


def test_what_it_cannot_start_with_is_one_line(emulate: Start, tmp_path: Path) -> None:
    text = tmp_path / "words.pem"
    text.write_text("no certificate", encoding="utf-8")
    taken = settings_of(emulate())["LTX_MCP_FAL_QUEUE_URL"].rpartition(":")[2]
    for code, options in [
        (2, ["--tls-cert", str(text)]),
        (3, ["--tls-cert", str(text), "--tls-key", str(text)]),
        (3, ["--port", taken]),
    ]:
        process = emulate(*options)
        out, error = process.communicate(timeout=HANG_S)
        assert (process.returncode, out, len(error.splitlines())) == (code, "", 1), error
        assert error.startswith("ltx-mcp: ")
