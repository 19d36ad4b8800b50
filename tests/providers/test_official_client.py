"""The emulated fal.ai judged by somebody else's code: fal's official Python client works with it, over TLS."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.fal import KEY
from tests.patience import HANG_S

SCRIPT = Path(__file__).parent / "official_fal.py"
Official = Callable[[str], dict[str, Any]]


class Served:
    """An emulator that speaks HTTPS with a certificate of nobody's."""

    def __init__(self, base_url: str, world: EmulatorState, trust: Path) -> None:
        self.base_url, self.world, self.trust = base_url, world, trust


@pytest.fixture
def served(emulator_films: Path, tmp_path: Path) -> Iterator[Served]:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    trust, chain, key = (tmp_path / name for name in ("trust.pem", "chain.pem", "key.pem"))
    authority.cert_pem.write_to_path(trust)
    certificate.private_key_pem.write_to_path(key)
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    with running(emulator_films, tls=(str(chain), str(key))) as (base_url, world):
        yield Served(base_url, world, trust)


@pytest.fixture
def official(served: Served) -> Official:
    """Lets the official client do something, and gives what it saw."""

    def do(deed: str, key: str = KEY) -> dict[str, Any]:
        host = served.base_url.removeprefix("https://")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL_")}
        hosts = {"FAL_RUN_HOST": host, "FAL_QUEUE_RUN_HOST": host}
        env = {**kept, **hosts, "FAL_KEY": key, "SSL_CERT_FILE": str(served.trust)}
        command = [sys.executable, str(SCRIPT), deed]
        ended = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S)
        assert ended.returncode == 0, ended.stderr
        return dict(json.loads(ended.stdout))

    return do


def steps(world: EmulatorState) -> set[tuple[str, int]]:
    return {(call.step, call.status) for call in world.calls}


def test_it_submits_follows_and_fetches(official: Official, served: Served) -> None:
    seen = official("follow")
    [order] = served.world.orders
    assert seen["id"] == order.id
    assert seen["first"] == {"kind": "Queued", "position": 0}
    assert seen["result"] == seen["again"]
    assert seen["result"]["video"]["url"] == f"{served.base_url}/media/{order.media_id}.mp4"
    last = seen["last"]
    assert (last["kind"], last["error"], last["metrics"]) == ("Completed", None, {"inference_time": 1.5})
    assert len(last["logs"]) == 8
    assert order.fields == {"prompt": "a pond", "duration": 8}


def test_it_subscribes_and_is_told_the_queue_the_logs_and_the_end(official: Official) -> None:
    seen = official("subscribe")
    kinds = [update["kind"] for update in seen["updates"]]
    assert list(dict.fromkeys(kinds)) == ["Queued", "InProgress", "Completed"]
    logs = [len(update["logs"]) for update in seen["updates"] if update["kind"] == "InProgress"]
    assert logs == sorted(logs)
    assert logs[-1] > 0
    assert seen["updates"][-1]["logs"][0]["message"] == "step 1/8"
    assert seen["result"]["video"]["content_type"] == "video/mp4"


def test_its_asynchronous_half_subscribes(official: Official) -> None:
    assert official("subscribe_async")["result"]["video"]["content_type"] == "video/mp4"


def test_it_cancels_what_waits(official: Official, served: Served) -> None:
    served.world.wait_s = 60
    seen = official("cancel")
    assert (seen["last"]["kind"], seen["last"]["error_type"]) == ("Completed", "client_cancelled")
    assert (seen["result"]["status"], seen["result"]["type"]) == (499, "client_cancelled")
    assert seen["again"]["status"] == 400
    assert served.world.status(served.world.orders[0]) == "cancelled"


def test_it_reads_a_refusal(official: Official, served: Served) -> None:
    seen = official("refuse")
    assert (seen["status"], seen["message"][0]["type"], served.world.orders) == (422, "int_type", [])


def test_it_tries_again_when_there_are_too_many_requests(official: Official, served: Served) -> None:
    served.world.faults.append(Fault("fal", "submit", "status", options={"status": 429}))
    assert official("follow")["result"]["video"]
    assert {("submit", 429), ("submit", 200)} <= steps(served.world)


def test_it_uploads_in_all_its_three_ways_and_orders_with_them(official: Official, served: Served) -> None:
    urls = official("upload")["urls"]
    assert len(set(urls)) == 3
    with httpx.Client(verify=ssl.create_default_context(cafile=served.trust)) as client:
        contents = {client.get(url).content for url in urls}
    assert contents == {b"\x89PNG\r\n\x1a\n" + bytes(64)}
    paths = "\n".join(call.path for call in served.world.calls)
    assert "/files/upload\n" in paths
    assert "/fal-storage/" in paths
    assert "/complete\n" in paths
    assert [order.fields["image_url"] for order in served.world.orders] == urls
