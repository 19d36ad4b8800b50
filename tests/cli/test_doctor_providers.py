"""What `doctor` says of keys, addresses, accounts and the clock: over real sockets, and without a single order."""

import re
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from ltx_mcp.cli.checks.finding import Finding
from ltx_mcp.cli.checks.keys import find_fault
from ltx_mcp.cli.checks.providers import AddressReply, ProviderFindings, address_line, ask, check_providers
from ltx_mcp.cli.checks.settings import read_given
from ltx_mcp.cli.checks.timeouts import patient_loop
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatedPrice, Fault
from ltx_mcp.net.diagnose import Diagnosis, Kind, diagnose
from ltx_mcp.net.ssrf import trusted
from tests.conftest import Emulated
from tests.providers.bench import REMOTE
from tests.providers.gate import certify, gated
from tests.providers.raw import LOOPBACK, answer, never_answers, says, serving
from tests.providers.raw import Line as Conversation

pytestmark = pytest.mark.anyio

NOWHERE = "https://nowhere.invalid"
NO_SUCH_JOB = b'{"detail": "no such job"}'
FAL = {"FAL_KEY": "an-id:a-secret-of-mine"}
JSON = "Content-Type: application/json"


async def findings_of(environment: Mapping[str, str], *, offline: bool = False) -> dict[str, Finding]:
    """Every line, by what was looked at."""
    patient_loop()
    return {line.what: line for line in await check_providers(read_given(environment), offline=offline)}


def fal_at(url: str, rest: str = "") -> dict[str, str]:
    return {**FAL, "LTX_MCP_FAL_QUEUE_URL": url, "LTX_MCP_FAL_REST_URL": rest or url}


def statuses(lines: Mapping[str, Finding]) -> set[str]:
    return {line.status for line in lines.values()}


# -- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("$(cat key)", "placeholder"),
        ("${FAL_KEY:-", "placeholder"),
        ("%FAL_KEY%", "placeholder"),
        ("<your key>", "placeholder"),
        ("{{key}}", "placeholder"),
        ("YOUR_API_KEY", "placeholder"),
        ("your-fal-key-here", "placeholder"),
        ("xxxxxxxx", "placeholder"),
        ("changeme", "placeholder"),
        ("FAL_KEY=abc:def", "own name"),
        ("Bearer abc123", "Bearer"),
        ("key abc:def", "Bearer"),
        ("Authorization: Key abc:def", "Bearer"),
        ('"abc:def"', "quotation"),
        ("abc:def'", "quotation"),
        ("abc:\ndef", "line break"),
        ("abc def", "space"),
        ("abc:d\u00e9f", "cannot be sent"),
        ("abc\x00def", "cannot be sent"),
        ("https://fal.ai/dashboard", "address"),
    ],
)
async def test_what_cannot_be_a_key_is_a_failure_that_nobody_is_asked_about(key: str, words: str) -> None:
    async with serving(says(answer(404, NO_SUCH_JOB, JSON))) as server:
        lines = await findings_of(fal_at(server.url) | {"FAL_KEY": key})
    line = lines["key of fal"]
    assert line.status == "failure"
    assert words in line.found
    assert key not in f"{line.found} {line.mend}"
    assert "address of fal (queue)" not in lines
    assert server.connections == 0


@pytest.mark.parametrize("key", ["${FAL_KEY}", "${env:FAL_KEY}", "$FAL_KEY", "${FAL_KEY:-}"])
async def test_a_reference_that_no_host_filled_in_is_a_warning_and_no_key(key: str) -> None:
    async with serving(says(answer(404, NO_SUCH_JOB, JSON))) as server:
        lines = await findings_of(fal_at(server.url) | {"FAL_KEY": key})
    assert (lines["key of fal"].status, server.connections) == ("warning", 0)
    assert "reference" in lines["key of fal"].found


async def test_a_field_of_a_form_that_was_left_empty_is_no_key_and_no_fault() -> None:
    lines = await findings_of({"FAL_KEY": "${user_config.fal_key}"})
    assert "key of fal" not in lines
    assert (lines["fal"].status, lines["fal"].found) == ("–", "no key")


@pytest.mark.parametrize(
    "key", ["5d0c1f0e-0000-4000-8000-00000000e111:0123abcd", "sk-Key_of.mine/+=", "api-9f8e7d", "ltxv_0aB", "k"]
)
def test_a_key_of_a_form_nobody_documented_can_be_one(key: str) -> None:
    assert find_fault(key, "LTX_API_KEY") == ""


@pytest.mark.parametrize(
    ("environment", "what", "words"),
    [
        ({"FAL_KEY": "no-colon-at-all"}, "key of fal", "two parts with a colon"),
        ({"LTX_API_KEY": "an-id:a-secret"}, "key of ltx", "looks like a key of fal.ai"),
        ({"LTX_API_KEY": "one", "LTXV_API_KEY": "two"}, "key of ltx", "LTX_API_KEY and LTXV_API_KEY differ"),
        ({"NETWRCK_API_KEY": "same", "LTX_API_KEY": "same"}, "key of netwrck", "the same as LTX_API_KEY"),
    ],
)
async def test_what_is_odd_about_a_key_is_a_warning(environment: dict[str, str], what: str, words: str) -> None:
    line = (await findings_of(environment, offline=True))[what]
    assert (line.status, words in line.found) == ("warning", True)
    assert line.mend


async def test_spaces_around_a_key_are_forgiven_as_everywhere(emulator: Emulated) -> None:
    given = settings(emulator[0])
    lines = await findings_of(given | {"FAL_KEY": f" {given['FAL_KEY']}\n"})
    assert (lines["key of fal"].status, lines["account at fal"].status) == ("OK", "OK")


# -- accounts -----------------------------------------------------------------------------------------------------


async def test_known_keys_are_told_so_without_an_order(emulator: Emulated) -> None:
    lines = await findings_of(settings(emulator[0]))
    assert statuses(lines) == {"OK"}
    for provider in REMOTE:
        words = "is accepted" if provider == "fal" else "not refused"  # its prices prove it
        assert words in lines[f"account at {provider}"].found
    assert lines["clock"].found == "agrees with the providers'"
    world = emulator[1]
    assert (world.orders, world.uploads) == ([], {})
    asked = [("fal", "prices"), *((name, "poll") for name in REMOTE)]
    assert sorted((call.provider, call.step) for call in world.calls) == sorted(asked)


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_unknown_key_is_a_failure_that_shows_nothing_of_it(emulator: Emulated, provider: str) -> None:
    given = settings(emulator[0])
    name = next(name for name in given if name.endswith("_KEY") and provider.upper() in name)
    lines = await findings_of(given | {name: "nobody-gave:this-out"})
    line = lines[f"account at {provider}"]
    assert line.status == "failure"
    assert line.found.startswith("key_rejected: ")
    assert name in line.mend
    assert not re.search("nobody|this-out", " ".join(f"{each.found}{each.mend}" for each in lines.values()))
    assert all(lines[f"account at {other}"].status == "OK" for other in REMOTE if other != provider)
    assert emulator[1].orders == []


async def test_a_rejected_key_names_the_page_where_keys_are_made_if_that_is_known(emulator: Emulated) -> None:
    lines = await findings_of(settings(emulator[0]) | {"LTX_API_KEY": "wrong-one", "NETWRCK_API_KEY": "wrong-one-too"})
    assert "https://console.ltx.io" in lines["account at ltx"].mend
    assert "https://" not in lines["account at netwrck"].mend


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (Fault("fal", "poll", "locked"), "failure", "out_of_credit"),
        (Fault("ltx", "poll", "status", 1, {"status": 429}), "warning", "rate_limited"),
        (Fault("netwrck", "poll", "status", 1, {"status": 503}), "warning", "unavailable"),
        (Fault("bytecompute", "poll", "status", 1, {"status": 422}), "warning", "rejected"),
    ],
)
async def test_what_else_an_account_says(emulator: Emulated, fault: Fault, status: str, words: str) -> None:
    emulator[1].faults.append(fault)
    line = (await findings_of(settings(emulator[0])))[f"account at {fault.provider}"]
    assert (line.status, words in line.found) == (status, True)
    assert line.mend


async def test_prices_that_fal_tells_prove_the_key_and_are_compared(emulator: Emulated) -> None:
    told = await findings_of(settings(emulator[0]))
    assert told["account at fal"].found == "the key is accepted"
    assert (told["prices of fal"].status, told["prices of fal"].found) == ("OK", "as in the table")
    emulator[1].prices["fal-ai/ltx-2.3/text-to-video"] = EmulatedPrice(0.04)
    line = (await findings_of(settings(emulator[0])))["prices of fal"]
    assert (line.status, "0.04 USD a unit there, 0.08 a second here" in line.found) == ("warning", True)


async def test_where_the_queue_is_not_fals_own_nobody_is_asked_for_prices(emulator: Emulated) -> None:
    told = await findings_of(settings(emulator[0]) | {"LTX_MCP_FAL_API_URL": ""})
    assert "prices of fal" not in told
    assert [call for call in emulator[1].calls if call.step == "prices"] == []


async def test_prices_that_cannot_be_had_are_no_failure(emulator: Emulated) -> None:
    told = await findings_of(settings(emulator[0]) | {"LTX_MCP_FAL_API_URL": f"http://{LOOPBACK}:9"})
    assert (told["prices of fal"].status, statuses(told)) == ("warning", {"OK", "warning"})


async def test_a_service_without_a_free_call_is_reached_without_its_key_and_no_more() -> None:
    async with serving(says(answer(404))) as server:
        given, asked = read_given(fal_at(server.url)), ProviderFindings()
        await ask(given.catalog.facts("fal"), given, object(), asked)
    assert [(line.status, line.what) for line in asked.lines] == [
        ("OK", "address of fal (queue)"),
        ("OK", "address of fal (rest)"),
        ("OK", "account at fal"),
    ]
    assert asked.lines[-1].found == "not asked: no free call is documented"
    assert all("authorization" not in request.headers for request in server.requests)


# -- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"], ids=["one address", "perhaps several"])
async def test_refused_connections_are_a_failure_that_names_host_and_setting(host: str) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    lines = await findings_of(fal_at(f"http://{host}:{port}"))
    for use, setting in (("queue", "LTX_MCP_FAL_QUEUE_URL"), ("rest", "LTX_MCP_FAL_REST_URL")):
        line = lines[f"address of fal ({use})"]
        assert (line.status, line.found) == ("failure", f"{host}:{port} refuses connections")
        assert setting in line.mend
    assert lines["account at fal"].status == "warning"


def test_a_name_of_several_addresses_that_all_refuse_is_told_as_one() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    failed = OSError("All connection attempts failed")
    failed.__cause__ = ExceptionGroup("multiple connection attempts failed", [refused, refused])  # as anyio raises it
    assert diagnose(failed, 5).kind == "refused"


async def test_a_name_nobody_knows_is_told_as_such() -> None:
    line = (await findings_of(fal_at(NOWHERE)))["address of fal (queue)"]
    assert (line.status, line.found) == ("failure", "nowhere.invalid is not found: no address is known for this name")
    assert "network" in line.mend


@pytest.mark.parametrize("kind", ["name", "refused", "certificate", "tls", "silent", "other"])
def test_only_a_setting_that_somebody_gave_is_to_be_checked(kind: Kind) -> None:
    (facts,) = [each for each in read_given({}).catalog.providers if each.name == "fal"]
    unreached = AddressReply("https://queue.example", Diagnosis(kind, "cannot be used"))
    line = address_line(facts, "address of fal", "LTX_MCP_FAL_QUEUE_URL", unreached)
    assert line.mend.startswith("Check LTX_MCP_FAL_QUEUE_URL. ")
    usual = address_line(facts, "address of fal", "", unreached)
    assert usual.mend
    assert "LTX_MCP" not in usual.mend


async def test_what_follows_from_an_address_out_of_reach_is_not_told_twice() -> None:
    lines = await findings_of(fal_at(NOWHERE))
    assert lines["account at fal"].found == "not asked: there was no answer"
    assert "prices of fal" not in lines


async def test_one_address_of_two_that_is_out_of_reach_is_the_one_that_is_told(emulator: Emulated) -> None:
    lines = await findings_of(settings(emulator[0]) | {"LTX_MCP_FAL_REST_URL": f"http://{LOOPBACK}:9"})
    assert lines["address of fal (rest)"].status == "failure"
    assert {lines[what].status for what in ("address of fal (queue)", "account at fal")} == {"OK"}


async def test_the_key_goes_to_no_address_that_need_not_see_it() -> None:
    said = says(answer(404, NO_SUCH_JOB, JSON))
    async with serving(said) as queue, serving(said) as rest:
        await findings_of(fal_at(queue.url, rest.url))
    assert [request.headers.get("authorization") for request in queue.requests] == [f"Key {FAL['FAL_KEY']}"]
    assert [request.headers.get("authorization") for request in rest.requests] == [None]


async def test_a_sign_in_page_in_between_is_a_failure() -> None:
    async with serving(says(answer(200, b"<html>Welcome to the airport</html>", "Content-Type: text/html"))) as portal:
        lines = await findings_of(fal_at(portal.url))
    line = lines["address of fal (queue)"]
    assert (line.status, "Something else than fal answers there" in line.found) == ("failure", True)
    assert "proxy" in line.mend
    assert lines["account at fal"].status == "warning"


def tls_of(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_a_certificate_of_nobodys_is_a_failure_that_names_ssl_cert_file() -> None:
    async with serving(says(answer(200)), tls_of(trustme.CA(), LOOPBACK)) as server:
        line = (await findings_of(fal_at(server.url)))["address of fal (queue)"]
    assert line.status == "failure"
    assert "certificate that is not trusted" in line.found
    assert "SSL_CERT_FILE" in line.mend
    assert server.requests == []


async def test_an_expired_certificate_first_asks_for_the_clock() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old = trustme.CA()
    old.issue_cert(LOOPBACK, not_after=datetime.now(UTC) - timedelta(days=1)).configure_cert(context)
    with pytest.MonkeyPatch.context() as patch, old.cert_pem.tempfile() as path:
        patch.setenv("SSL_CERT_FILE", path)
        lines = await fresh_trust(context)
    assert "expired" in lines["address of fal (queue)"].found
    assert "clock" in lines["address of fal (queue)"].mend


async def fresh_trust(context: ssl.SSLContext) -> dict[str, Finding]:
    """Looked at with the certificates that SSL_CERT_FILE names now, which are otherwise read once."""
    trusted.cache_clear()
    try:
        async with serving(says(answer(200)), context) as server:
            return await findings_of(fal_at(server.url))
    finally:
        trusted.cache_clear()


async def test_plain_http_where_tls_is_expected_is_told_as_such() -> None:
    async def speaks_first(line: Conversation) -> None:
        await line.say(answer(400, b"this is a plain HTTP server"))

    async with serving(speaks_first) as server:
        line = (await findings_of(fal_at(server.url.replace("http:", "https:"))))["address of fal (queue)"]
    assert line.status == "failure"
    assert "does not speak TLS" in line.found


async def test_silence_is_a_failure_after_five_seconds_for_all_at_once() -> None:
    open_now: list[int] = []
    most = 0

    async def counted(line: Conversation) -> None:
        nonlocal most
        open_now.append(1)
        most = max(most, len(open_now))
        try:
            await never_answers(line)
        finally:
            open_now.pop()

    async with serving(counted) as server:
        environment = {name: server.url if name.endswith("_URL") else value for name, value in settings("").items()}
        lines = await findings_of(environment)
    silent = [line for what, line in lines.items() if what.startswith("address of")]
    assert len(silent) == 5
    assert most >= len(silent)
    assert {(line.status, "does not answer within 5 s" in line.found) for line in silent} == {("failure", True)}


async def test_a_proxy_that_is_in_the_way_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hidden-word@{LOOPBACK}:9")
    line = (await findings_of(fal_at(NOWHERE)))["address of fal (queue)"]
    assert line.status == "failure"
    assert "through the proxy that HTTPS_PROXY names" in line.found
    assert "HTTPS_PROXY" in line.mend
    assert "hidden-word" not in line.found


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("ALL_PROXY", "socks://me:hidden-word@127.0.0.1:9", "proxy"),
        ("HTTPS_PROXY", "http://me:hidden-word@127.0.0.1:99999", "proxy"),
        ("SSL_CERT_FILE", "/nowhere/at-all.pem", "certificates"),
        ("SSL_CERT_DIR", "/nowhere", "certificates"),
    ],
)
async def test_a_variable_that_keeps_every_order_here_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    for each in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    lines = await findings_of(fal_at(NOWHERE))
    for line in (lines[what], lines["address of fal (queue)"]):
        assert (line.status, name in line.found, name in line.mend) == ("failure", True, True)
        assert "hidden-word" not in f"{line.found} {line.mend}"


async def test_where_films_lie_is_asked_by_the_way_they_would_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificates = certify(tmp_path, ["v3.fal.media", "queue.fal.run", "rest.fal.ai", "api.fal.ai"])
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.trust))
    monkeypatch.setenv("NO_PROXY", "v3.fal.media")
    async with (
        serving(says(answer(404, NO_SUCH_JOB, JSON)), certificates.context) as server,
        gated(int(server.url.rpartition(":")[2])) as gate,
    ):
        monkeypatch.setenv("https_proxy", gate.url)
        straight = (await findings_of(FAL))["films of fal"]
        monkeypatch.delenv("NO_PROXY")
        lines = await findings_of(FAL)
    assert (straight.status, "is not found" in straight.found) == ("failure", True)
    assert (lines["films of fal"].found, lines["proxy"].status) == ("v3.fal.media answers", "OK")
    assert {"v3.fal.media", "queue.fal.run", "rest.fal.ai"} <= set(gate.targets)


async def test_a_certificate_file_that_is_not_there_is_a_failure_of_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at-all.pem")
    trusted.cache_clear()
    try:
        lines = await findings_of(fal_at(NOWHERE))
    finally:
        trusted.cache_clear()
    assert lines["address of fal (queue)"].status == "failure"


async def test_a_provider_without_a_key_or_left_out_by_the_settings_is_not_asked() -> None:
    async with serving(says(answer(404, NO_SUCH_JOB, JSON))) as server:
        without = {"LTX_MCP_LTX_URL": server.url, **fal_at(server.url), "LTX_MCP_PROVIDERS": "ltx"}
        lines = await findings_of(without)
    assert server.connections == 0
    assert (lines["provider ltx"].status, lines["netwrck"].status) == ("warning", "–")


async def test_a_key_goes_nowhere_while_the_address_it_belongs_to_is_misspelt() -> None:
    lines = await findings_of({**FAL, "LTX_MCP_FAL_QUEUE_URL": "http://gateway.example"})
    assert "address of fal (queue)" not in lines
    assert (lines["provider fal"].status, lines["key of fal"].status) == ("warning", "OK")


async def test_offline_asks_nobody() -> None:
    async with serving(says(answer(404, NO_SUCH_JOB, JSON))) as server:
        lines = await findings_of(fal_at(server.url), offline=True)
    assert server.connections == 0
    assert lines["address of fal"].found == "not asked (--offline)"


async def test_with_nothing_set_up_one_warning_says_so() -> None:
    lines = await findings_of({})
    warned = [line for line in lines.values() if line.status == "warning"]
    assert [line.what for line in warned] == ["provider"]
    assert "FAL_KEY" in warned[0].mend


async def test_a_key_without_the_address_it_needs_names_the_setting() -> None:
    line = (await findings_of({"BYTECOMPUTE_API_KEY": "k-1"}))["provider bytecompute"]
    assert (line.status, "LTX_MCP_BYTECOMPUTE_URL" in line.found) == ("warning", True)


# -- the clock ----------------------------------------------------------------------------------------------------


async def at_time(*differences: timedelta) -> Finding:
    """What is said of the clock when the servers' differ from it by this much."""

    def dated(difference: timedelta) -> bytes:
        date = format_datetime(datetime.now(UTC) + difference, usegmt=True)
        return answer(404, b'{"detail": "no", "error": {"type": "not_found_error"}}', JSON, f"Date: {date}")

    async with serving(says(dated(differences[0]))) as one, serving(says(dated(differences[-1]))) as two:
        lines = await findings_of({**fal_at(one.url), "LTX_API_KEY": "k-1", "LTX_MCP_LTX_URL": two.url})
    return lines["clock"]


@pytest.mark.parametrize(("minutes", "words"), [(90, "90 minutes behind"), (-7, "7 minutes ahead of")])
async def test_a_clock_that_is_off_is_a_warning(minutes: int, words: str) -> None:
    line = await at_time(timedelta(minutes=minutes))
    assert (line.status, words in line.found) == ("warning", True)
    assert "NTP" in line.mend


async def test_four_minutes_are_nothing_and_one_provider_may_be_wrong() -> None:
    assert (await at_time(timedelta(minutes=4))).status == "OK"
    assert (await at_time(timedelta(days=3), timedelta())).status == "OK"
