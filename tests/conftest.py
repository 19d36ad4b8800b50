"""What the tests share: a clock to turn, an open store, a client in both protocol eras, and no way off loopback."""

import ipaddress
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn

import anyio
import hypothesis
import pytest
from mcp import Client

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers, setting_names
from ltx_mcp.server import app_context
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests import examples
from tests.databases import PostgresServer
from tests.forked_media import forking, open_process_at
from tests.kept import kept_films
from tests.tiers import is_left_out

hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("busy")

Era = Literal["auto", "legacy"]
Emulated = tuple[str, EmulatorState]
"""The address of an emulator, and the world behind it."""
ERAS: tuple[Era, ...] = ("auto", "legacy")
PROVIDER_SETTINGS = frozenset(name for facts in read_providers() for name in setting_names(facts))


@pytest.fixture
def anyio_backend() -> str:
    """asyncio is what hosts run."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection off loopback fails the test that made it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert ipaddress.ip_address(address[0]).is_loopback, f"off loopback: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have keys: no test, and no process of one, may find them."""
    for name in PROVIDER_SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def nobody_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server inside a test hands its live jobs to no detached process: that would ask after them for an hour, with
    the emulator gone. Real servers, in processes of their own, do."""
    monkeypatch.setattr(app_context, "_start_worker", lambda home, environment: None)


@pytest.fixture(scope="session", autouse=True)
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The detached workers of real servers, whose homes are these tests' own, end with the tests."""
    yield
    homes = os.fsencode(tmp_path_factory.getbasetemp())
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if b"work" in words and any(word.startswith(homes) for word in words):
                os.kill(int(entry.parent.name), signal.SIGKILL)


@pytest.fixture(scope="session", autouse=True)
def forked_media(request: pytest.FixtureRequest) -> Iterator[str]:
    """Media processes are forked from a warm one, whose address this is; where all tests run they are started."""
    if os.name == "nt" or request.config.getoption("--all"):
        yield ""
        return
    with forking() as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ltx_mcp.media.client.open_process", open_process_at(address))
        yield address


@pytest.fixture
def started_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """Media processes are started, as the program does it."""
    monkeypatch.setattr("ltx_mcp.media.client.open_process", anyio.open_process)


@pytest.fixture(scope="session")
def emulator_films() -> Path:
    """Where emulated films are kept for all workers and later runs; each is drawn once, when it is first downloaded."""
    return kept_films() / "emulated"


@pytest.fixture
def emulator(emulator_films: Path) -> Iterator[Emulated]:
    """All emulated providers, over a real socket."""
    with running(emulator_films) as address_and_world:
        yield address_and_world


def missing(reason: str) -> NoReturn:
    """Skips; where a machine is made for testing it must have what it takes."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def turn(self, **by: float) -> None:
        """Let this much time pass."""
        self.time += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL of this run, over a socket of its own."""
    server = PostgresServer()
    yield server
    server.close()


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What does not depend on the database is tried on one."""
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
"""There a death is noticed only when a lease has run out."""


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where this test's jobs are: in its home (empty), or in an empty PostgreSQL database."""
    if request.param == "sqlite":
        yield ""
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.take_back(url)


@pytest.fixture
def database(home: Path, database_url: str) -> Iterator[Database]:
    """A database of its own."""
    opened = Database.open(home, database_url)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    """A store without a budget."""
    return Store(database)


@pytest.fixture
def catalog() -> Catalog:
    """What ships, with no key set."""
    return make_catalog(read_providers(), (), lambda name: "")


@pytest.fixture
def new_job(catalog: Catalog) -> Callable[..., NewJob]:
    """Makes a planned text request, as `place` wants it."""

    def make(caller: str = "local", request_key: str = "", **arguments: Any) -> NewJob:
        request = to_request(GenerateVideo(**{"prompt": "a pond", **arguments}))
        offers, normal = select_offers(request, (), catalog), canonical_form(request, ())
        return NewJob(caller, request_key, normal, offers, (), takes=request.takes)

    return make


ENDS_S = 20.0
"""Two seconds are promised; a busy machine takes longer, and what waits by mistake longer still."""

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(home: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Connect:
    """An in-memory client of a server over this test's home; pictures may lie in the test's folder."""

    @asynccontextmanager
    async def connected(mode: Era = "auto", **options: Any) -> AsyncIterator[Client]:
        settings = read_settings({"LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(tmp_path)})
        server, _ = make_server(settings, catalog)
        async with Client(server, mode=mode, **options) as client:
            yield client

    return connected


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tool snapshots are renewed on purpose only, and the slow tests are asked for."""
    parser.addoption("--renew-snapshots", action="store_true", help="write tests/snapshots anew")
    parser.addoption("--all", action="store_true", help="run the slow tests of tests/slow.toml too")


def pytest_configure(config: pytest.Config) -> None:
    """Where all tests run, properties are tried with more examples."""
    examples.are_all_wanted = config.getoption("--all")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Slow files are left out, unless all tests are wanted or the file is named."""
    if config.getoption("--all"):
        return None
    return is_left_out(collection_path, config.rootpath, config.invocation_params.dir, config.args) or None
