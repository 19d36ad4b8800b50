"""Where a provider is asked to tell that an order has ended, and how that reaches whoever has the job."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.job import State
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.emulator.fal.webhooks import sign
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.webhooks.incoming import IncomingProviders, IncomingWebhooks
from ltx_mcp.jobs.webhooks.receipt import Receipt
from ltx_mcp.presentation.config import check_webhooks
from ltx_mcp.settings import read_settings
from tests.conftest import Clock, Emulated, on_postgres, on_sqlite
from tests.jobs.test_store import New, priced
from tests.patience import HANG_S
from tests.providers.bench import Bench, lookup_in, opened, text
from tests.server.told import ASKS_HOURLY, FILE, HOUR_S

pytestmark = pytest.mark.anyio

PUBLIC, HERE = "https://films.example.com/ltx/", "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("file", "public_url", "loopback", "is_named"),
    [
        (FILE, PUBLIC, (), True),
        (FILE, PUBLIC, ("fal",), True),
        (FILE, HERE, ("fal",), True),
        (FILE, HERE, (), False),  # fal would ask its own machine
        (FILE, "", (), False),
        ("", PUBLIC, (), False),
        (None, PUBLIC, (), False),
        ("[incoming]\nproviders = 7\n", PUBLIC, (), False),
    ],
)
@on_sqlite
def test_an_order_names_an_address_only_where_file_and_settings_say_so(
    file: str | None,
    public_url: str,
    loopback: tuple[str, ...],
    is_named: bool,
    store: Store,
    new_job: New,
    catalog: Catalog,
    clock: Clock,
    tmp_path: Path,
) -> None:
    path = tmp_path / "webhooks.toml"
    path.write_text(file or "", encoding="utf-8")
    providers = IncomingProviders(None if file is None else path, lambda name: "")
    specs = {each.name: each for each in catalog.providers}
    incoming = IncomingWebhooks(providers, specs, lambda name: "", public_url, loopback, store, clock)
    job = store.place(priced(new_job(), "0.30"), clock()).job
    wanted = f"{public_url.rstrip('/')}/webhooks/fal/{job.id}" if is_named else ""
    assert incoming.url_for(job) == wanted
    assert incoming.url_for(store.place(priced(new_job(prompt="a lake"), "0.30", provider="ltx"), clock()).job) == ""


def test_a_file_that_cannot_be_used_is_told_once_however_often_somebody_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "webhooks.toml"
    providers = IncomingProviders(path, lambda name: "")
    for text_of_file, lines in (("[incoming]\nproviders = 7\n", 1), ("[[[", 2)):
        path.write_text(text_of_file, encoding="utf-8")
        assert [providers() for _ in range(3)] == [()] * 3
        assert caplog.text.count("No provider is asked") == lines
    path.write_text(FILE, encoding="utf-8")
    assert providers() == ("fal",)


def test_a_service_says_when_nobody_can_tell_it_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "webhooks.toml"
    path.write_text(FILE, encoding="utf-8")
    env = {"LTX_MCP_HOME": str(tmp_path), "LTX_MCP_WEBHOOKS": str(path)}
    check_webhooks(read_settings(env | {"LTX_MCP_PUBLIC_URL": PUBLIC}))
    assert caplog.text == ""
    check_webhooks(read_settings(env))
    assert "LTX_MCP_PUBLIC_URL is not set" in caplog.text


@asynccontextmanager
async def opened_with(
    home: Path, emulated: Emulated, database_url: str, file: Path, *, works: bool
) -> AsyncIterator[Bench]:
    """A home at a pace of its own, whose fal may tell something."""
    async with opened(home, emulated, factor=1, overlay=ASKS_HOURLY, database_url=database_url, works=works) as bench:
        bench.jobs._incoming._providers = IncomingProviders(file, lookup_in(settings(emulated[0])))
        yield bench


@on_postgres
async def test_whichever_process_is_told_the_one_that_has_the_job_asks(
    emulator: Emulated, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "webhooks.toml"
    file.write_text(FILE, encoding="utf-8")
    world = emulator[1]
    world.faults.append(Fault("fal", "stream", "status", times=10**6, options={"status": 500}))
    homes = [tmp_path / name for name in ("here", "there")]
    async with (
        opened_with(homes[0], emulator, database_url, file, works=True) as here,
        opened_with(homes[1], emulator, database_url, file, works=False) as there,
    ):
        world.work_s = HOUR_S
        job = await here.place(text(provider="fal"))
        await _polled(here, 1)
        world.advance(HOUR_S)
        job = await there.jobs.get(job.id, None)
        assert job.provider_ref is not None
        body = json.dumps({"request_id": job.provider_ref["request_id"]}).encode()
        headers = sign(world.webhook_key, "", round(there.time.now().timestamp()), body)
        told = {name.lower(): value for name, value in headers.items()}
        assert await there.jobs.take_webhook("fal", job.id, told, body) is Receipt.TAKEN
        assert (await there.jobs.get(job.id, None)).lease_owner == here.jobs._liveness.worker
        assert ((await here.end(job)).state, here.count("fal", "poll")) == (State.SUCCEEDED, 2)


async def _polled(bench: Bench, times: int) -> None:
    with anyio.fail_after(HANG_S):
        while bench.count("fal", "poll") < times:
            await anyio.sleep(0.005)
