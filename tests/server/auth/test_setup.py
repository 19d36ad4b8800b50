"""Settings that would let strangers in, or carry tokens where others can read them, are refused at the start."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.private import open_private
from ltx_mcp.server.auth.principal import READ
from ltx_mcp.server.auth.setup import check_service
from ltx_mcp.server.auth.tokens_file import new_token, to_row_text
from ltx_mcp.settings import read_settings
from tests.cli.conftest import environment, first_line
from tests.patience import HANG_S

LOGIN = {"TOKENS_FILE": "/srv/tokens.toml", "SIGNING_KEY": "k" * 32}
SECURE = LOGIN | {"PUBLIC_URL": "https://films.example.com"}
LOCAL = LOGIN | {"PUBLIC_URL": "http://127.0.0.1:8000"}
INSIDE = LOGIN | {"PUBLIC_URL": "http://films.internal"}
ISSUER = SECURE | {"TOKENS_FILE": "", "OIDC_ISSUER": "https://login.example.com"}


def check(given: dict[str, str], host: str, *, behind_tls_proxy: bool = False) -> None:
    settings = read_settings({f"LTX_MCP_{name}": value for name, value in given.items() if value})
    check_service(settings, host, behind_tls_proxy=behind_tls_proxy)


@pytest.mark.parametrize(
    ("given", "host", "behind"),
    [
        ({}, "127.0.0.1", False),
        ({}, "::1", False),
        ({"PUBLIC_URL": "http://films.internal"}, "localhost", False),
        (SECURE, "0.0.0.0", False),
        (SECURE, "127.0.0.1", False),
        (LOCAL, "localhost", False),
        (LOCAL, "0.0.0.0", True),
        (INSIDE, "0.0.0.0", True),
        (INSIDE, "127.0.0.1", True),
        (ISSUER, "::", False),
        (ISSUER | {"OIDC_ISSUER": "http://127.0.0.1:9000/oidc,https://b.example"}, "::", False),
    ],
)
def test_a_safe_service_starts(given: dict[str, str], host: str, behind: bool) -> None:
    check(given, host, behind_tls_proxy=behind)


@pytest.mark.parametrize(
    ("given", "host", "behind", "words"),
    [
        ({}, "0.0.0.0", False, "--host 0.0.0.0 would let others order with your keys, without a login"),
        ({}, "films.example.com", True, "without a login.*LTX_MCP_TOKENS_FILE or LTX_MCP_OIDC_ISSUER"),
        ({"PUBLIC_URL": "https://films.example.com"}, "0.0.0.0", False, "without a login"),
        (LOGIN, "127.0.0.1", False, "needs LTX_MCP_PUBLIC_URL"),
        (SECURE | {"SIGNING_KEY": ""}, "127.0.0.1", False, "needs LTX_MCP_SIGNING_KEY"),
        (SECURE | {"SIGNING_KEY": ","}, "127.0.0.1", False, "needs LTX_MCP_SIGNING_KEY"),
        (INSIDE, "127.0.0.1", False, "would carry tokens.*--behind-tls-proxy"),
        (INSIDE, "0.0.0.0", False, "would carry tokens.*--behind-tls-proxy"),
        (LOCAL, "0.0.0.0", False, "would carry tokens.*--behind-tls-proxy"),
        (ISSUER | {"OIDC_ISSUER": "http://login.example.com"}, "127.0.0.1", True, "http://login.example.com, whose"),
        (ISSUER | {"OIDC_ISSUER": "https://a.example,http://b.example"}, "127.0.0.1", True, "http://b.example"),
    ],
)
def test_an_unsafe_service_does_not_start(given: dict[str, str], host: str, behind: bool, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        check(given, host, behind_tls_proxy=behind)


def start(home: Path, token: str) -> subprocess.Popen[str]:
    """`serve --http` with a tokens file, bound to every address of this machine."""
    tokens = home.with_name("tokens.toml")
    with open_private(tokens, "wb") as file:
        file.write(to_row_text(token, "ann", (READ,), may_act=False, expires=None).encode())
    env = environment(home) | {f"LTX_MCP_{name}": value for name, value in SECURE.items()}
    command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--host", "0.0.0.0", "--port", "0"]
    return subprocess.Popen(
        command, env=env | {"LTX_MCP_TOKENS_FILE": str(tokens)}, stderr=subprocess.PIPE, encoding="utf-8"
    )


@pytest.fixture
def token() -> str:
    return new_token()


@pytest.fixture
def process(home: Path, token: str) -> Iterator[subprocess.Popen[str]]:
    started = start(home, token)
    yield started
    started.kill()
    started.communicate(timeout=HANG_S)


def test_a_service_for_others_says_what_it_lends_and_answers_to_its_public_name_alone(
    process: subprocess.Popen[str], token: str
) -> None:
    told = first_line(process.stderr)
    assert re.search(r"Everyone with a token of \S+tokens\.toml can use it at https://films\.example\.com, and", told)
    port = re.findall(r"http://0\.0\.0\.0:(\d+)/mcp", told)[0]
    headers = {"Authorization": f"Bearer {token}", "MCP-Protocol-Version": "2026-07-28", "Accept": "*/*"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_S) as web:
        assert web.post("/mcp", json={}).status_code == 401
        assert web.post("/mcp", json={}, headers=headers | {"Host": "films.example.com"}).status_code == 400
        for rebound in ("evil.example", f"192.168.0.1:{port}", "0.0.0.0"):
            assert web.post("/mcp", json={}, headers=headers | {"Host": rebound}).status_code == 421
