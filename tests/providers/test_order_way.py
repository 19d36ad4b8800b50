"""An order on its way out of this machine: what cannot leave is a sure no that names the variable, and a proxy that
lets nobody through has not taken it; what the provider itself said through a proxy counts as ever.
"""

import base64
import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.emulator.app import make_state
from ltx_mcp.net.ssrf import trusted
from ltx_mcp.providers.catalog_loader import is_loopback_url
from tests.conftest import on_sqlite
from tests.providers import raw
from tests.providers.bench import opened, text
from tests.providers.gate import certify, gated
from tests.providers.raw import Line, answer, says
from tests.providers.test_order_answers import HTML, PAGE, SHORT_S, UNKNOWN, Prepare, no, prepare

__all__ = ["prepare"]

pytestmark = [pytest.mark.anyio, on_sqlite]

AWAY = no(ErrorCode.UNAVAILABLE)
HOST = "api.example.com"
LOGIN = base64.b64encode(b"me:w@rd").decode()
PROXIES = (
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
UNUSABLE = {
    "no scheme that is one": ("ALL_PROXY", f"socks://{raw.LOOPBACK}:9"),
    "a port that is none": ("https_proxy", "http://proxy.example:99999"),
    "an IPv6 address without brackets": ("HTTPS_PROXY", "http://::1:3128"),
    "a password with a stray sign": ("HTTPS_PROXY", "http://me:hidden/word@proxy.example:1"),
    "no file of certificates": ("SSL_CERT_FILE", "/nonexistent.pem"),
    "no folder of certificates": ("SSL_CERT_DIR", "/nonexistent"),
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is set but what a test sets."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    trusted.cache_clear()
    yield
    trusted.cache_clear()


@pytest.mark.parametrize("provider", ["bytecompute", "ltx v1"])
@pytest.mark.parametrize("what", UNUSABLE)
async def test_a_variable_that_cannot_be_used_is_a_sure_no_that_names_it(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, provider: str, what: str
) -> None:
    name, value = UNUSABLE[what]
    monkeypatch.setenv(name, value)
    async with prepare(provider, f"https://{HOST}", is_loopback=False) as sent:
        assert await sent.outcome() == AWAY
        error = sent.heard.errors[0]
        assert name in error.message
        assert name in error.hint
        assert "hidden" not in f"{error} {sent.job}"


@pytest.mark.parametrize("value", ["localhost,[::1]", "fe80::/10", "%%,:::,["])
async def test_an_odd_no_proxy_keeps_no_order_here(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    monkeypatch.setenv("NO_PROXY", value)
    assert await through(prepare, monkeypatch, tmp_path, "ltx", answer(401, b"{}")) == no(ErrorCode.KEY_REJECTED)


@pytest.mark.parametrize("name", ["ALL_PROXY", "SSL_CERT_FILE"])
async def test_it_is_found_out_before_anything_is_written_down_of_an_order(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, database_url: str
) -> None:
    """Here the whole way: placed, refused while it is prepared, its price free again, and the next provider tried."""
    monkeypatch.setenv(name, "socks://nobody" if name == "ALL_PROXY" else "/nonexistent.pem")
    env = {"LTX_MCP_LTX_URL": f"https://{HOST}"}
    async with raw.serving(says(answer(500))) as server, opened(home, (server.url, make_state()), env=env) as bench:
        assert not is_loopback_url(env["LTX_MCP_LTX_URL"])
        job = await bench.order(text(provider="ltx"))
        assert (job.state, job.bill, job.error and job.error.code) == (
            State.FAILED,
            ChargeState.RELEASED,
            "unavailable",
        )
        assert job.error is not None
        assert name in job.error.message
        assert "submitting" not in [event.what for event in await bench.history(job)]


def at_once(said: bytes) -> raw.Deed:
    async def deed(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(said)

    return deed


async def hangs_up(line: Line) -> None:
    await line.reader.readuntil(b"\r\n\r\n")


async def never_speaks(line: Line) -> None:
    await raw.never_answers(line)


NO_WAY = {
    "cut at once": raw.reset_at_once,
    "hung up": hangs_up,
    "silent": never_speaks,
    "garbage": at_once(b"\x05\xff\x00 this is no HTTP\r\n\r\n"),
    "half a head": at_once(b"HTTP/1.1 200 ok\r\nX-"),
    "a redirect": at_once(answer(302, b"", "Location: https://login.example.com/")),
    "407 with its page": at_once(answer(407, PAGE, HTML)),
    "403 with its page": at_once(answer(403, PAGE, HTML)),
    "503 with its page": at_once(answer(503, PAGE, HTML)),
    "200 with its page": at_once(answer(200, PAGE, HTML)),
}


@pytest.mark.parametrize("what", NO_WAY)
async def test_a_proxy_that_lets_nobody_through_has_not_taken_the_order(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    provider = "ltx v1"  # which waits longest for its answer
    async with raw.serving(NO_WAY[what]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://me:hidden-word@"))
        async with prepare(provider, f"https://{HOST}", is_loopback=False, connect_s=SHORT_S) as sent:
            assert await sent.outcome() == AWAY
            error = sent.heard.errors[0]
    assert "the proxy that HTTPS_PROXY names" in error.message
    assert "hidden-word" not in f"{error} {error.detail} {sent.job}"


# the library leaves such a connection to the garbage collector
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "said", [b"", b"\x05", b"\x05\xff", b"\x04\x5b", b"\x05\x00\x05\x05\x00", b"HTTP/1.1 400 no\r\n\r\n"]
)
async def test_neither_has_a_socks_proxy_that_does_not(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    async def deed(line: Line) -> None:
        await line.reader.readexactly(2)
        await line.say(said)

    async with raw.serving(deed) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("http://", "socks5://me:hidden-word@"))
        async with prepare("fal", f"https://{HOST}", is_loopback=False, connect_s=SHORT_S) as sent:
            assert await sent.outcome() == AWAY
            assert "hidden-word" not in str(sent.heard.errors[0])
            sent.heard.errors.clear()
    del sent
    gc.collect()


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_a_proxy_that_is_not_there_has_not_either(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:hidden-word@{raw.LOOPBACK}:9")
    async with prepare("fal", f"https://{HOST}", is_loopback=False) as sent:
        assert await sent.outcome() == AWAY
        assert "ALL_PROXY" in sent.heard.errors[0].message
        assert "hidden-word" not in str(sent.heard.errors[0])


async def through(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, folder: Path, provider: str, said: bytes
) -> tuple[str, ErrorCode, State, ChargeState]:
    """What becomes of an order to which the provider itself says this, through a proxy that lets it."""
    certificates = certify(folder, [HOST])
    async with raw.serving(says(said), certificates.context) as server:
        async with gated(int(server.url.rpartition(":")[2])) as gate:
            monkeypatch.setenv("HTTPS_PROXY", gate.url.replace("://", "://me:w%40rd@"))
            monkeypatch.setenv("SSL_CERT_FILE", str(certificates.trust))
            async with prepare(provider, f"https://{HOST}", is_loopback=False) as sent:
                outcome = await sent.outcome()
        assert gate.targets == [HOST]
        logins = [line for line in gate.heads[0].split("\r\n") if "authorization" in line.lower()]
        assert logins == [f"Proxy-Authorization: Basic {LOGIN}"], "and no key"
        assert len(server.requests) == 1
    return outcome


FROM_THE_HOST = {
    "a page": (answer(200, PAGE, HTML), UNKNOWN),
    "a page of a gateway": (answer(502, PAGE, HTML), UNKNOWN),
    "nothing": (b"", UNKNOWN),
    "a redirect": (answer(307, b"", "Location: https://elsewhere.example.com/"), AWAY),
    "a proxy behind it": (answer(407, PAGE, HTML), AWAY),
    "a sign-in page": (answer(511, PAGE, HTML), AWAY),
    "a refusal": (answer(402, json.dumps({"error": "no"}).encode()), no(ErrorCode.OUT_OF_CREDIT)),
}


@pytest.mark.parametrize("provider", ["fal", "netwrck"])
@pytest.mark.parametrize("what", FROM_THE_HOST)
async def test_what_the_host_says_through_a_proxy_counts_as_ever(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: str, what: str
) -> None:
    said, expected = FROM_THE_HOST[what]
    assert await through(prepare, monkeypatch, tmp_path, provider, said) == expected
