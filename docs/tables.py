"""Writes the tables of README and docs from what the code says. `make docs` renews them; a test compares them."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio

from ltx_mcp.cli.hosts.paths import HOSTS, Host, Machine, System, find_place
from ltx_mcp.domain.catalog import OfferSpec, PriceReading
from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.request import EDITS
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import described, read_settings
from ltx_mcp.telemetry import METRICS, Metric
from manifests.make import install_links

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
MARKER = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

MEANINGS = {
    ErrorCode.INVALID_REQUEST: "An argument or setting cannot be used; the sentence names it and what is allowed.",
    ErrorCode.NOT_SUPPORTED: "No provider offers this combination; the nearest one is named with its price.",
    ErrorCode.OVER_BUDGET: "Above `max_cost_usd` or today's budget; says what is left.",
    ErrorCode.NEEDS_CONFIRMATION: "A person must agree to the price first; says how, or that they declined.",
    ErrorCode.JOB_NOT_FOUND: "No such job for this caller.",
    ErrorCode.INPUT_FAILED: "A picture, video or sound could not be read, or the job it comes from has no film.",
    ErrorCode.MISSING_KEY: "The provider's key is not set.",
    ErrorCode.KEY_REJECTED: "The provider does not accept the key.",
    ErrorCode.OUT_OF_CREDIT: "The provider's account is empty or locked.",
    ErrorCode.RATE_LIMITED: "Too much at a time: at the provider, of inputs here, or above `LTX_MCP_MAX_LIVE_JOBS`.",
    ErrorCode.CONTENT_REFUSED: "The provider's filter refused the prompt, picture, video or sound.",
    ErrorCode.REJECTED: "The provider refused the order as malformed.",
    ErrorCode.UNAVAILABLE: "The provider could not be reached or could not make it.",
    ErrorCode.BAD_REPLY: "What came back could not be understood, or is not a film.",
    ErrorCode.OUTCOME_UNKNOWN: "The order may have been taken and charged; it is never sent again by itself.",
    ErrorCode.EXPIRED: "The film was made but its address no longer works.",
    ErrorCode.INSUFFICIENT_SCOPE: "Over HTTP with a login: the token may look at jobs, but not order or cancel.",
    ErrorCode.STORAGE_FAILED: "The disk or database cannot be used; names the path and the setting.",
    ErrorCode.INTERNAL_ERROR: "A bug; the log on stderr has the traceback.",
}


BILLED = {
    "text_to_video": "film",
    "image_to_video": "film",
    "audio_to_video": "sound given",
    "extend": "new part and context",
    "retake": "whole video given",
    "reframe": "whole video given",
    "join": "film",
}


def settings() -> str:
    """Every environment variable this version acts on."""
    rows = [(row["name"], row["meaning"], row["default"]) for row in described()]
    rows += [
        (option.env, option.meaning, option.values[0])
        for facts in read_providers()
        for option in facts.options.values()
    ]
    shown = [f"| `{name}` | {meaning} | {default} |" for name, meaning, default in rows]
    return "\n".join(["| setting | meaning | default |", "|---|---|---|", *shown])


def providers() -> str:
    """What each provider is, and how it is set up."""
    rows = []
    for facts in read_providers():
        keys = " or ".join(f"`{name}`" for name in facts.key_env) or "none"
        urls = [
            f"`{name}` ({facts.url_default.get(use, 'no default: must be set')})" for use, name in facts.url_env.items()
        ]
        where = "renders on a machine" if facts.repeatable else "orders of an account"
        at_once = f"{facts.slots} {where}" if facts.slots else "any"
        failure = "costs nothing" if facts.failure_is_free else "may be charged"
        rows.append(f"| {facts.name} | {facts.title} | {keys} | {', '.join(urls) or 'none'} | {failure} | {at_once} |")
    head = ["| provider | who | key | address | a failed film | at a time |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def prices() -> str:
    """USD a second by provider, model and operation, with date and source; or a megapixel."""
    rows = []
    for facts in read_providers():
        for row in facts.offer:
            if row.operation not in BILLED:  # joining is no order
                continue
            price = row.price
            most = price.at_most
            told, as_of, source = _rates(price), str(price.as_of), price.source
            if most is not None:
                told += f"; at most {_rates(most)}"
                as_of, source = f"{as_of}; {most.as_of}", f"{source}; {most.source}"
            cells = (facts.name, row.model, row.operation, told, BILLED[row.operation], as_of, source)
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            "| provider | model | operation | USD a second | of | as of | source |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _rates(price: PriceReading) -> str:
    rates = [f"{label} {rate.normalize():f}" for label, rate in price.usd_per_second.items()]
    for tier in price.pixel_tiers:
        larger = "larger" if len(price.pixel_tiers) > 1 else "any size"
        size = f"up to {tier.up_to:,} pixels" if tier.up_to else larger
        rates.append(f"{size} {tier.usd_per_second.normalize():f}")
    if price.usd_per_megapixel is not None:
        rates.append(f"{price.usd_per_megapixel.normalize():f} a megapixel of all frames")
    return ", ".join(rates)


def faults() -> str:
    """What can go wrong at each provider and step, as the tests make it happen."""
    rows = [
        f"| {row.provider} | {row.step} | {row.name.removeprefix(f'{row.provider} {row.step} ')} "
        f"| {row.end.state} | {row.end.code or ''} | {row.end.bill} | {row.end.orders} | {row.reader} |"
        for row in _faults()
    ]
    head = [
        "| at | step | what goes wrong | ends | code | price | orders taken | for the reader |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def _faults() -> list[Any]:
    return list(_of_tests("tests.providers.faults").FAULTS)


def _of_tests(name: str) -> ModuleType:
    """A module of the tests, which lie outside the package."""
    sys.path.insert(0, str(ROOT))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(ROOT))


def clients() -> str:
    """What each client showed its model when it was last run."""
    return str(_of_tests("tests.clients.page").clients())


def snippets() -> str:
    """The frameworks' code, as it was run."""
    return str(_of_tests("tests.clients.page").snippets())


def tools() -> str:
    """Every tool with its first sentence."""
    server, _ = make_server(read_settings({}), make_catalog(read_providers(), (), lambda name: ""))
    listed = anyio.run(server.list_tools)
    rows = [f"| `{tool.name}` | {(tool.description or '').split('. ')[0].rstrip('.')}. |" for tool in listed]
    return "\n".join(["| tool | what it does |", "|---|---|", *rows])


def errors() -> str:
    """Every error code with its meaning."""
    rows = [f"| `{code}` | {MEANINGS[code]} |" for code in ErrorCode]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


AS_GIVEN = "the video's"


def _shapes(row: OfferSpec) -> str:
    if row.operation not in EDITS:
        return ", ".join(row.aspect_ratio)
    video = row.media_limits.get("video")
    return ", ".join(video.aspect_ratio) if video and video.aspect_ratio else AS_GIVEN


def inputs() -> str:
    """What each provider takes as picture, video and sound, and what an offer asks of them."""
    rows = [
        f"| {facts.name} | {kind} | {', '.join(rule.accepts)} | {f'{rule.max_bytes:,}' if rule.max_bytes else 'any'} |"
        for facts in read_providers()
        for kind, rule in facts.inputs.items()
    ]
    return "\n".join(["| provider | medium | forms | bytes |", "|---|---|---|---|", *rows])


def limits() -> str:
    """What an offer asks of a medium beyond its form."""
    rows = [
        f"| {facts.name} | {row.model} | {row.operation} | {'; '.join(_asked_of(row))} |"
        for facts in read_providers()
        for row in facts.offer
        if row.media_limits or row.context or row.frame_step
    ]
    return "\n".join(["| provider | model | operation | what is asked |", "|---|---|---|---|", *rows])


def _asked_of(row: OfferSpec) -> Iterator[str]:
    for role, limit in row.media_limits.items():
        if limit.duration:
            yield f"{role} of {limit.duration} s"
        if limit.min_frames:
            yield f"{role} of at least {limit.min_frames} frames"
        if limit.max_frames:
            yield f"{role} of at most {limit.max_frames} frames"
        if limit.min_short_edge and limit.max_long_edge:
            yield f"{role} with edges of {limit.min_short_edge} to {limit.max_long_edge} pixels"
        elif limit.max_long_edge and limit.max_short_edge:
            yield f"{role} of at most {limit.max_long_edge} x {limit.max_short_edge} pixels"
        if limit.max_bytes:
            yield f"{role} of at most {limit.max_bytes:,} bytes"
    if row.context:
        yield f"context of {row.context} s, or 0 for as much as fits"
    if row.context_frames:
        yield f"context and new part of at most {row.context_frames} frames"
    if row.start_time:
        yield f"start_time {row.start_time} s"
    if row.frame_step and row.edge_step:
        yield f"the film has a multiple of {row.frame_step} frames and one more, and edges of {row.edge_step} pixels"
    if row.film_short_edge:
        yield f"the film comes back at {row.film_short_edge}p"


def models() -> str:
    """What can be ordered, from the facts."""
    rows = [
        f"| {facts.name} | {row.model} | {row.operation} | {'; '.join(str(limit.duration) for limit in row.limits)}"
        f"{'; or auto' if row.automatic else ''} "
        f"| {'; '.join(', '.join(map(str, limit.fps)) or AS_GIVEN for limit in row.limits)} "
        f"| {'; '.join(', '.join(limit.resolution) or AS_GIVEN for limit in row.limits)} | {_shapes(row)} |"
        for facts in read_providers()
        for row in facts.offer
    ]
    head = ["| provider | model | operation | seconds | fps | resolution | shape |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


SYSTEMS: tuple[System, ...] = ("linux", "macos", "windows")


def hosts() -> str:
    """Where each host that `install` knows keeps its configuration, and what it makes of a variable's name."""
    rows = []
    for host in HOSTS.values():
        files = dict.fromkeys(f"`{_usual(host, system)}`" for system in SYSTEMS)
        by_name = f"`{host.by_name.replace('NAME', 'FAL_KEY')}`" if host.by_name else "no; only values"
        project = f"`{host.project}`" if host.project else "none"
        rows.append(f"| {host.title} | {', '.join(files)} | {project} | {by_name} |")
    head = ["| host | its file | in a project | keys by name |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _usual(host: Host, system: System) -> str:
    return find_place(host, Machine(system, Path("~"), {}, Path(".")), absent=True).as_posix()


def metrics() -> str:
    """Every metric of OpenTelemetry, under its own name and under that which Prometheus makes of it."""
    rows = [
        f"| `{each.name}` | `{_in_prometheus(each)}` | {each.kind} "
        f"| {', '.join(f'`{name}`' for name in each.attributes)} | {each.meaning} |"
        for each in METRICS
    ]
    head = ["| metric | in Prometheus | kind | by | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _in_prometheus(metric: Metric) -> str:
    unit = {"s": "_seconds", "USD": "_USD", "": ""}[metric.unit]
    return f"{metric.name.replace('.', '_')}{unit}{'_total' if metric.kind == 'counter' else ''}"


def links() -> str:
    """What installs the server by one click."""
    return install_links()


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table
    for table in (
        settings,
        tools,
        errors,
        models,
        inputs,
        limits,
        providers,
        prices,
        faults,
        hosts,
        links,
        metrics,
        clients,
        snippets,
    )
}


def renewed(text: str) -> str:
    """A page with its tables as the code says now."""
    return MARKER.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Renew every page in place."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (new := renewed(text)) != text:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"renewed {page.name}\n")


if __name__ == "__main__":
    main()
