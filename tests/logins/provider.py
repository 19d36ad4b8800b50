"""The identity provider of the tests: npm's oidc-provider, certified for OpenID Connect, driven by provider.mjs. Not a
test.
"""

import hashlib
import json
import os
import secrets
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from tests.conformance.packages import QUIET
from tests.conftest import missing
from tests.patience import HANG_S

PACKAGES = {"oidc-provider": "9.13.3", "node": "22.23.3"}
"""It asks for a newer Node than many machines have."""
SCRIPT = Path(__file__).with_name("provider.mjs")
MACHINE = "nightly"
"""The client that logs in by itself, with a secret."""
DOCUMENT = "https://client.example/ltx.json"
"""The client whose id is the address of its metadata."""
REDIRECT = "http://127.0.0.1/callback"


def install() -> Path:
    """The folder of the packages, installed into the user's cache when these versions are not there yet."""
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    key = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
    folder = user_cache_path("ltx-mcp") / "logins" / key
    if folder.exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        missing("npm is not installed: no identity provider can be had")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    subprocess.run([npm, "install", *QUIET, "--prefix", str(made), *wanted], check=True, timeout=600)
    try:
        made.rename(folder)
    except OSError:  # another process of the tests was first
        shutil.rmtree(made)
    return folder


@dataclass(frozen=True)
class IdentityProvider:
    """A running provider. `secret` is that of the client MACHINE."""

    issuer: str
    secret: str
    process: "subprocess.Popen[str]"

    def rotate(self) -> list[str]:
        """From now on it signs with a new key, and publishes the older ones too; all key ids, the newest first."""
        kids: list[str] = self._tell("rotate")
        return kids

    def allow(self, scopes: str) -> None:
        """Whatever is asked for, no more than these scopes is granted from now on."""
        self._tell("set", {"allow": scopes})

    def be_late(self, seconds: int) -> None:
        """Its clock goes wrong by so much."""
        self._tell("ago", seconds)

    def grants(self) -> list[list[str]]:
        """Type and client of each grant since it was last asked."""
        granted: list[list[str]] = self._tell("grants")
        return granted

    def secrets(self) -> list[str]:
        """All tokens, codes and secrets that went through it."""
        told: list[str] = self._tell("secrets")
        return told

    def leave(self) -> None:
        """It is gone, and answers nobody any more."""
        self.process.kill()
        self.process.wait()

    def _tell(self, command: str, value: Any = None) -> Any:
        return _exchange(self.process, {command: value})


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider on a free port, with a secret of its own."""
    provider = start_provider(secrets.token_urlsafe(32))
    with provider.process:
        try:
            yield provider
        finally:
            provider.process.kill()


def start_provider(secret: str, **behind_proxy: str | int) -> IdentityProvider:
    """A provider that is there until its process is ended. `behind_proxy`: its `issuer`, its `port` and `keys_file`."""
    folder = install()
    node = folder / "node_modules" / "node" / "bin" / ("node.exe" if os.name == "nt" else "node")
    command = [str(node), "--input-type=module", "--eval", SCRIPT.read_text(encoding="utf-8")]
    pipe = subprocess.PIPE
    # modules are looked for from where it starts
    process = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, encoding="utf-8")
    try:
        return IdentityProvider(_exchange(process, {"secret": secret, **behind_proxy})["issuer"], secret, process)
    except BaseException:
        process.kill()
        raise


def _exchange(process: "subprocess.Popen[str]", line: dict[str, Any]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(line) + "\n")
    process.stdin.flush()
    assert select.select([process.stdout], [], [], HANG_S)[0], f"no answer to {next(iter(line))}"
    return json.loads(process.stdout.readline())
