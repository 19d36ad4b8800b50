"""Where a CONNECT proxy is the only way out, orders, uploads and films all go through it, at every provider."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.net.ssrf import trusted
from tests.patience import HANG_S
from tests.providers.bench import REMOTE, image, opened, text
from tests.providers.walled import KEYS, MEDIA, walled

pytestmark = pytest.mark.anyio

FILM_AT = {name: MEDIA for name in REMOTE} | {"bytecompute": "api.bytecompute.example.com"}


@pytest.mark.parametrize("provider", REMOTE)
async def test_order_upload_and_film_go_through_the_proxy(
    provider: str, home: Path, tmp_path: Path, emulator_films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "pond.png"
    Image.new("RGB", (64, 36), "teal").save(picture)
    sized = {"resolution": "720p"} if provider in ("ltx", "bytecompute") else {}
    async with walled("127.0.0.1", tmp_path, emulator_films) as (gate, world, found):
        for name in ("https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTPS_PROXY", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, found[name])
        away = dict.fromkeys(("LTX_MCP_FAL_QUEUE_URL", "LTX_MCP_FAL_REST_URL", "LTX_MCP_FAL_API_URL"), "")
        env = {**away, "LTX_MCP_LTX_URL": "", "LTX_MCP_NETWRCK_URL": "", **found, **KEYS}
        trusted.cache_clear()
        async with opened(home, ("https://nobody.invalid", world), env=env, folders=(tmp_path,)) as bench:
            for asked in (text(provider=provider, **sized), image(picture, provider=provider, **sized)):
                job = await bench.order(asked)
                assert (job.state, job.bill) == (State.SUCCEEDED, ChargeState.BOOKED), job.error
                assert bench.jobs.film(job) is not None
        trusted.cache_clear()
    assert FILM_AT[provider] in gate.targets
    assert len(world.orders) == 2


async def test_a_callers_url_goes_through_the_proxy_for_who_shares_this_machine_alone(
    home: Path,
    tmp_path: Path,
    emulator_films: Path,
    emulated: tuple[str, EmulatorState],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with walled("127.0.0.1", tmp_path, emulator_films) as (gate, _, found):
        monkeypatch.setenv("HTTPS_PROXY", found["HTTPS_PROXY"])
        monkeypatch.setenv("SSL_CERT_FILE", found["SSL_CERT_FILE"])
        trusted.cache_clear()
        asked = image(Path("x"), provider="fal").model_copy(update={"image": f"https://{MEDIA}/pond.png"})
        for folders, led in ((None, []), ((tmp_path,), [MEDIA])):
            async with opened(home, emulated, folders=folders) as bench:
                with pytest.raises(CallerError, match=MEDIA) as caught:
                    await bench.place(asked)
            assert gate.targets == led
            assert ("HTTP status 404" in caught.value.message) == bool(led)
        trusted.cache_clear()


async def test_a_namespace_that_reaches_nothing_but_the_proxy_makes_a_film_at_every_provider(
    tmp_path: Path, emulator_films: Path
) -> None:
    if os.name == "nt" or os.geteuid() != 0 or not all(map(which, ("unshare", "nsenter", "ip"))):
        pytest.skip("only root may make a network namespace, with unshare, nsenter and ip")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    command = [sys.executable, "-m", "tests.providers.walled", str(tmp_path), str(emulator_films), *REMOTE]
    ended = subprocess.run(
        ["unshare", "--net", *command], capture_output=True, encoding="utf-8", timeout=len(REMOTE) * HANG_S
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    for provider in REMOTE:
        assert said["told"][provider]["code"] == 0, said["told"][provider]
        assert said["told"][provider]["out"].strip().endswith(".mp4")
    assert sorted(said["orders"]) == sorted(REMOTE)
    assert MEDIA in said["targets"]
