"""The providers that have a key: can they be reached, do they know the key, does their clock agree with ours.

Only questions that order nothing and cost nothing. All are asked at once, each for CHECK_S at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import anyio

from ltx_mcp.cli.checks.finding import Finding, absent, failure, fine, warning
from ltx_mcp.cli.checks.keys import check_key, find_unfilled
from ltx_mcp.cli.checks.network import check_network, check_video_hosts, proxy_of
from ltx_mcp.cli.checks.settings import Given
from ltx_mcp.domain.catalog import OfferSpec, ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.quoting import cite
from ltx_mcp.domain.unit_price import UnitPrice, base_usd
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.diagnose import Diagnosis, Kind, diagnose
from ltx_mcp.net.provider_client import HttpRequest, ProviderClient
from ltx_mcp.providers.adapters import make_adapters
from ltx_mcp.providers.base import CHECK_S, KeyCheck, SupportsKeyCheck, SupportsPricing
from ltx_mcp.providers.catalog_loader import is_loopback_url, needed_urls, read_addresses, read_key, setting_names
from ltx_mcp.providers.key_names import misnamed_text

CLOCKS_AGREE = timedelta(minutes=5)
CLOCK_MEND = "Set this machine's clock, best by a time service (NTP)."
BAD_ACCOUNT = (ErrorCode.KEY_REJECTED, ErrorCode.OUT_OF_CREDIT)


@dataclass
class ProviderFindings:
    """What came of asking: lines in the order they are shown, and by how much each clock differs from ours."""

    lines: list[Finding] = field(default_factory=list)
    differences: list[timedelta] = field(default_factory=list)


@dataclass(frozen=True)
class AddressReply:
    """What came from one address, or why nothing did."""

    url: str
    why: Diagnosis | None = None
    checked: KeyCheck | None = None


async def check_providers(given: Given, *, offline: bool) -> list[Finding]:
    """Every provider's key, addresses, account and prices; then the clock."""
    ready = [facts for facts in given.catalog.providers if _is_ready(given, facts)]
    found: dict[str, ProviderFindings] = {
        facts.name: ProviderFindings(_standing(given, facts)) for facts in given.catalog.providers
    }
    network = check_network()
    if ready and not offline:
        adapters = make_adapters(ready, given.settings.lookup, _now, MediaClient())
        async with anyio.create_task_group() as group:
            for facts in ready:
                group.start_soon(ask, facts, given, adapters.by_name[facts.name], found[facts.name])
        await adapters.close()
    elif offline:
        for facts in ready:
            found[facts.name].lines.append(fine(f"address of {facts.name}", "not asked (--offline)"))
    lines = [*network, *(line for asked in found.values() for line in asked.lines)]
    if not given.catalog.is_real and not given.bad:
        keys = ", ".join(facts.key_env[0] for facts in given.catalog.providers if facts.key_env)
        lines.append(warning("provider", "none is set up, so only previews can be made", f"Set one of {keys}."))
    differences = [each for asked in found.values() for each in asked.differences]
    return [*lines, _clock(differences)]


def _now() -> datetime:
    return datetime.now(UTC)


def _is_ready(given: Given, facts: ProviderSpec) -> bool:
    """Whether it is worth asking: usable, with a key that can be one, and with every setting of its own in order."""
    usable = given.catalog.availability[facts.name].usable and bool(facts.key_env)
    return usable and not _is_spoilt(given, facts) and not any(line.status == "failure" for line in _key(given, facts))


def _is_spoilt(given: Given, facts: ProviderSpec) -> bool:
    """Whether a setting of its own was left out: then the key may belong to another address than the usual one."""
    return bool(given.bad & set(setting_names(facts)))


def _key(given: Given, facts: ProviderSpec) -> list[Finding]:
    return check_key(facts, given.catalog.providers, given.settings.lookup)


def _standing(given: Given, facts: ProviderSpec) -> list[Finding]:
    """What is known of a provider before anybody is asked."""
    availability, what = given.catalog.availability[facts.name], f"provider {facts.name}"
    has_key = bool(facts.key_env) and bool(read_key(facts, given.settings.lookup))
    keys = find_unfilled(facts, given.settings.environment, given.settings.lookup)
    keys += _key(given, facts) if has_key else []
    if _is_spoilt(given, facts):
        return [*keys, warning(what, "not asked, because a setting of it cannot be used", "Mend the setting first.")]
    if availability.usable:
        return keys or [fine(what, facts.title)]
    wanted = facts.name in given.settings.providers or has_key
    if wanted and facts.name in given.catalog.order:
        reason = f"not set up: {availability.unavailable_reason}"
        return [*keys, warning(what, reason, f"Set what is missing, or leave {facts.name} alone.")]
    if misnamed := misnamed_text(facts, given.settings.environment):
        return [*keys, warning(facts.name, f"no key; {misnamed}", f"Set {facts.key_env[0]}.")]
    return [*keys, absent(facts.name, f"not set up: {availability.unavailable_reason}" if has_key else "no key")]


async def ask(facts: ProviderSpec, given: Given, adapter: object, asked: ProviderFindings) -> None:
    """All questions to one provider at once; the lines come in one order."""
    addresses = read_addresses(facts, given.settings.lookup)
    addresses = {use: addresses[use] for use in needed_urls(facts)}  # of the others the prices tell
    main = adapter.asked if isinstance(adapter, SupportsKeyCheck) else ""

    def question_to(use: str, url: str) -> Callable[[], Awaitable[KeyCheck | None]]:
        if isinstance(adapter, SupportsKeyCheck) and use == main:
            return adapter.check
        return partial(_knock, facts, given, url)

    replies, video_hosts, prices = await asyncio.gather(
        asyncio.gather(*(_ask_address(url, question_to(use, url)) for use, url in addresses.items())),
        _video_hosts(facts, addresses),
        _prices(facts, adapter),
    )
    answers = dict(zip(addresses, replies, strict=True))
    for use in addresses:
        setting = facts.url_env[use] if given.settings.lookup(facts.url_env[use]) else ""
        what = f"address of {facts.name}" + (f" ({use})" if len(addresses) > 1 else "")
        asked.lines.append(address_line(facts, what, setting, answers[use]))
    asked.lines += video_hosts
    if checked := answers[main].checked if main else None:
        asked.lines.append(_account(facts, checked, proven=bool(prices) and prices[0].status == "OK"))
        asked.differences += [checked.at - _now()] if checked.at else []
        asked.lines += prices
    elif main:
        asked.lines.append(warning(f"account at {facts.name}", "not asked: there was no answer", "See its address."))
    else:
        asked.lines.append(fine(f"account at {facts.name}", "not asked: no free call is documented"))


async def _video_hosts(facts: ProviderSpec, addresses: Mapping[str, str]) -> list[Finding]:
    """Where films of a provider lie is known only for its usual addresses."""
    is_usual = all(facts.url_default.get(use) == url for use, url in addresses.items())
    return await check_video_hosts(facts) if is_usual else []


async def _ask_address(url: str, question: Callable[[], Awaitable[KeyCheck | None]]) -> AddressReply:
    try:
        with anyio.fail_after(CHECK_S):
            return AddressReply(url, checked=await question())
    except (ProviderError, TimeoutError, OSError) as error:
        return AddressReply(url, why=diagnose(error, CHECK_S))


async def _knock(facts: ProviderSpec, given: Given, url: str) -> None:
    """Ask an address that is only needed later whether anything answers. No key goes along."""
    secrets = [value for name in facts.key_env if (value := given.settings.lookup(name))]
    client = ProviderClient(facts.name, secrets, is_loopback=is_loopback_url(url))
    try:
        await client.request(HttpRequest("GET", url, read_s=CHECK_S))
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()


def address_line(facts: ProviderSpec, what: str, setting: str, answer: AddressReply) -> Finding:
    """What is said of an address; `setting` is the one that gave it, empty where it is the provider's usual one."""
    host = urlsplit(answer.url).netloc
    if answer.why is not None:
        proxy = proxy_of(answer.url)
        by = f", asked through the proxy that {proxy} names" if proxy else ""
        mend = answer.why.fix or _mend(answer.why.kind, answer.why.words, setting, proxy)
        return failure(what, f"{host} {answer.why.words}{by}", mend)
    problem = answer.checked.problem if answer.checked else None
    if problem and problem.code is ErrorCode.BAD_REPLY:
        mend = f"{_check_names(setting)}Look whether a proxy or a sign-in page stands in between."
        return failure(what, f"{host}: {problem.message}", mend)
    return fine(
        what, f"{host} answers" + ("; it is on this machine, as an emulator is" if is_loopback_url(answer.url) else "")
    )


def _mend(kind: Kind, words: str, setting: str, proxy: str) -> str:
    check = _check_names(proxy, setting)
    match kind:
        case "certificate" if "expired" in words or "not yet valid" in words:
            return f"{CLOCK_MEND} If it is right, the fault is theirs."
        case "certificate":
            return f"{check}Behind a proxy that reads along, set SSL_CERT_FILE to a file with its certificate."
        case "tls":
            return f"{check}A plain http server may be there, or a proxy in between."
        case "name" | "silent":
            return f"{check}Look at the network and its firewall."
    return f"{check}Look whether the service is up."


def _check_names(*settings: str) -> str:
    """The sentence that names the settings to look at; none where none was given."""
    names = " and ".join(filter(None, settings))
    return f"Check {names}. " if names else ""


def _account(facts: ProviderSpec, checked: KeyCheck, *, proven: bool) -> Finding:
    what, problem = f"account at {facts.name}", checked.problem
    if problem is None:
        found = (
            "the key is accepted" if proven else "the key was not refused when asked after an order that does not exist"
        )
        return fine(what, found)
    if problem.code is ErrorCode.BAD_REPLY:
        return warning(what, "not known: something else answered", "See its address.")
    found = " ".join(filter(None, (f"{problem.code}: {problem.message}", _quoted(problem))))
    if problem.code in BAD_ACCOUNT:
        page = f" Keys are made at {facts.key_page}." if facts.key_page else ""
        return failure(what, found, problem.hint + (page if problem.code is ErrorCode.KEY_REJECTED else ""))
    return warning(
        what, found, "Ask again later." if problem.code is not ErrorCode.REJECTED else "See its status page."
    )


def _quoted(problem: JobError) -> str:
    return f"It says: {cite(problem.provider_detail, 120)}" if problem.provider_detail else ""


async def _prices(facts: ProviderSpec, adapter: object) -> list[Finding]:
    """The table's prices beside the provider's own, where it can be asked."""
    what = f"prices of {facts.name}"
    if not isinstance(adapter, SupportsPricing) or not adapter.tells_prices:
        return []
    mend = "Lay the right prices over the table with LTX_MCP_MODELS, or upgrade ltx-mcp."
    try:
        with anyio.fail_after(CHECK_S):
            theirs = await adapter.prices()
    except (LtxError, TimeoutError, OSError) as error:
        reason = error.message if isinstance(error, LtxError) else "no answer in time"
        return [warning(what, f"not compared: {reason}", "ltx-mcp models --json names the pages the prices are from.")]
    lines = [warning(what, text, mend) for row in facts.offer if (text := price_difference(row, theirs))]
    return lines or ([fine(what, "as in the table")] if theirs else [])


def price_difference(row: OfferSpec, theirs: Mapping[str, UnitPrice]) -> str:
    """Where a provider's own price of a unit is not the table's, at the smallest size."""
    ours, price = base_usd(row.price), theirs.get(row.endpoint)
    if price is None or price.is_cent or (price.amount == ours and price.fits(row.price)):
        return ""
    here = "second" if row.price.usd_per_megapixel is None else "megapixel"
    unit = "USD a unit" if price.fits(row.price) else f"{price.currency or 'of no currency'} a {price.unit or 'unit'}"
    most = f", at most {base_usd(row.price.at_most):f}" if row.price.at_most else ""
    return f"{row.endpoint} costs {price.amount:f} {unit} there, {ours:f} a {here} here{most} (as of {row.price.as_of})"


def _clock(differences: list[timedelta]) -> Finding:
    """Of several the nearest counts: one provider's clock may be wrong, all of them are not."""
    if not differences:
        return fine("clock", "not compared: no provider answered")
    nearest = min(differences, key=abs)
    minutes = round(abs(nearest).total_seconds() / 60)
    if abs(nearest) <= CLOCKS_AGREE:
        return fine("clock", "agrees with the providers'")
    way = "behind" if nearest > timedelta() else "ahead of"
    return warning("clock", f"{minutes} minutes {way} the providers': TLS and signed addresses fail", CLOCK_MEND)
