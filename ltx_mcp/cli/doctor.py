"""`doctor`: what is there, a line each: OK, warning or failure, with what mends it."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import anyio
import click

from ltx_mcp import __version__
from ltx_mcp.cli.options import as_json_option
from ltx_mcp.cli.words import one_line, print_json
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.facts import OfferFacts, ProviderFacts
from ltx_mcp.domain.plan import Market
from ltx_mcp.server.edge import make_config, read_edge
from ltx_mcp.settings import Settings

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    status: Literal["OK", "warning", "failure"]
    what: str
    found: str


@click.command()
@as_json_option
def doctor(as_json: bool) -> None:
    """Say what is there and what is missing; exit code 1 when something fails."""
    lines = [*_edge(), *_media()]
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        print(f"ltx-mcp {__version__}, Python {sys.version.split()[0]}")
        for line in lines:
            print(f"{line.status:<8} {line.what}: {one_line(line.found)}")
    raise SystemExit(int(any(line.status == "failure" for line in lines)))


def _edge() -> list[Line]:
    try:
        settings, market = read_edge()
    except LtxError as error:
        return [Line("failure", "settings", str(error))]
    return [*_providers(market), *anyio.run(_state, settings, market)]


def _providers(market: Market) -> Iterator[Line]:
    for facts in market.providers:
        standing = market.standings[facts.name]
        yield Line("OK" if standing.usable else "warning", f"provider {facts.name}", standing.why_not or facts.title)


async def _state(settings: Settings, market: Market) -> list[Line]:
    from ltx_mcp.jobs.service import Jobs

    try:
        config = make_config(settings, market, paths=True)
        jobs = await Jobs.open(config)
        prices = [line for facts in market.providers for line in await _prices(jobs, facts)]
        await jobs.stop()
    except LtxError as error:
        return [Line("failure", "state", f"{error} {getattr(error, 'where', '')}".rstrip())]
    free = shutil.disk_usage(settings.home).free
    folders = os.pathsep.join(map(str, config.folders or ())) or "none (set LTX_MCP_INPUT_DIRS)"
    return [
        Line("OK", "state", f"{settings.home} can be written"),
        Line("OK", "database", "PostgreSQL, shared" if settings.database_url else "SQLite in the home"),
        Line("OK" if free > LOW_DISK_BYTES else "warning", "disk", f"{free / 2**30:.1f} GiB free"),
        Line("OK", "picture paths may lie in", folders),
        *prices,
    ]


async def _prices(jobs: "Jobs", facts: ProviderFacts) -> list[Line]:
    """The table's prices beside the provider's own, where it can be asked."""
    what = f"prices of {facts.name}"
    try:
        theirs = await jobs.prices(facts.name)
    except LtxError as error:
        return [Line("warning", what, str(error))]
    lines = [Line("warning", what, text) for row in facts.offer if (text := price_difference(row, theirs))]
    return lines or ([Line("OK", what, "as in the table")] if theirs else [])


def price_difference(row: OfferFacts, theirs: Mapping[str, Decimal]) -> str:
    """Where a provider's own price of a unit is not the table's price of a second at the smallest size."""
    ours = min(row.price.usd_per_second.values(), default=None)
    told = theirs.get(row.endpoint)
    if ours is None or told is None or told == ours:
        return ""
    return f"{row.endpoint} costs {told:f} USD a unit there, {ours:f} a second here (as of {row.price.as_of})"


def _media() -> Iterator[Line]:
    from importlib.util import find_spec

    try:
        import av

        missing = {"libx264", "aac"} - av.codecs_available
    except ImportError as error:
        yield Line("failure", "codecs", f"PyAV cannot be loaded: {error}")
    else:
        found = f"{', '.join(sorted(missing))} is missing in PyAV" if missing else "H.264 and AAC"
        yield Line("failure" if missing else "OK", "codecs", found)
    heif = find_spec("pillow_heif") is not None
    yield Line("OK" if heif else "warning", "HEIC pictures", "yes" if heif else 'no; pip install "ltx-mcp[heif]"')
