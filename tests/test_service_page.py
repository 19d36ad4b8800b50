"""docs/service.md is followed: the two minutes to a first token as they stand there, and HAProxy with its lines."""

import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import trustme

from tests.cli.conftest import environment, posix
from tests.conftest import missing
from tests.jobs.test_processes import wait_for
from tests.logins.service import HEADERS, LIST, LISTENS, free_port
from tests.patience import HANG_S

PAGE = (Path(__file__).parents[1] / "docs" / "service.md").read_text(encoding="utf-8")
SCRIPT = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAPROXY = re.compile(r"^HAProxy:\n\n((?:    .*\n|\n)+)", re.MULTILINE)
pytestmark = posix


@dataclass
class Typed:
    """The first lines of the page, typed in a folder; `more` is set before them."""

    folder: Path
    more: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def script(self) -> str:
        found = SCRIPT.search(PAGE)
        assert found
        lines = found[1].replace(":8000", f":{self.port}").splitlines()
        assert lines[-1] == "ltx-mcp serve --http"
        return "\n".join([*lines[:-1], *(f"export {name}={value}" for name, value in self.more.items()), lines[-1]])

    @contextmanager
    def running(self) -> Iterator[str]:
        """The token that it prints, while the server is there."""
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "ltx-mcp").symlink_to(Path(sys.executable).with_name("ltx-mcp"))
        env = environment(self.folder / "home", PATH=os.pathsep.join((str(programs), os.environ["PATH"])))
        typed = f"{self.script} --port {self.port}"
        log = self.folder / "log"
        with log.open("w") as heard:
            command = ["bash", "-e", "-u", "-o", "pipefail", "-c", typed]
            process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdout=heard, stderr=heard, start_new_session=True
            )
        try:
            wait_for(lambda: LISTENS.search(log.read_text("utf-8")) or process.poll() is not None, HANG_S)
            token = re.search(r"^ltx_\S+$", log.read_text("utf-8"), re.MULTILINE)
            assert token, log.read_text("utf-8")
            yield token[0]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(HANG_S)


def ask(url: str, token: str, trust: ssl.SSLContext | bool = True) -> httpx2.Response:
    """The answer to a list of tools."""
    headers = HEADERS | {"Authorization": f"Bearer {token}"}
    return httpx2.post(f"{url}/mcp", json=LIST, headers=headers, trust_env=False, timeout=HANG_S, verify=trust)


def test_two_minutes_lead_from_nothing_to_a_token_that_lets_in_until_its_row_is_taken_out(tmp_path: Path) -> None:
    typed = Typed(tmp_path)
    url = f"http://127.0.0.1:{typed.port}"
    with typed.running() as token:
        assert "generate_video" in ask(url, token).text
        assert ask(url, secrets.token_urlsafe(32)).status_code == 401
        file = tmp_path / "tokens.toml"
        assert (file.stat().st_mode & 0o77, token in file.read_text("utf-8")) == (0, False)
        file.write_text("", encoding="utf-8")
        assert ask(url, token).status_code == 401


@pytest.fixture
def haproxy() -> str:
    return shutil.which("haproxy") or missing("haproxy is not installed")


def test_haproxy_with_the_lines_of_the_page_lets_a_token_in_by_tls(tmp_path: Path, haproxy: str) -> None:
    front = free_port()
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "films.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    typed = Typed(tmp_path, {"LTX_MCP_PUBLIC_URL": f"https://localhost:{front}"})
    found = HAPROXY.search(PAGE)
    assert found
    lines = found[1].replace(":443", f"127.0.0.1:{front}").replace("/etc/haproxy", str(tmp_path))
    (tmp_path / "haproxy.cfg").write_text(lines.replace(":8000", f":{typed.port}"), encoding="utf-8")
    with typed.running() as token, subprocess.Popen([haproxy, "-f", str(tmp_path / "haproxy.cfg")]) as proxy:
        try:
            url = f"https://localhost:{front}"
            wait_for(lambda: _answers(url, trust), HANG_S)
            assert "generate_video" in ask(url, token, trust).text
            refused = ask(url, "another", trust)
            assert (refused.status_code, "ltx:order" in refused.headers["www-authenticate"]) == (401, True)
        finally:
            proxy.terminate()


def _answers(url: str, trust: ssl.SSLContext) -> bool:
    try:
        return ask(url, "nobody's", trust).status_code == 401
    except httpx2.TransportError:
        return False
