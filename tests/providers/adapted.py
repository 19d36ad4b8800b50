"""One adapter by itself, as the program makes it, for orders that are sent without a job around them. Not a test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.emulator.app import settings
from ltx_mcp.media.client import MediaClient
from ltx_mcp.providers.adapters import Adapters, make_adapters
from tests.providers.bench import NOON, lookup_in, market_of


@asynccontextmanager
async def adapters_at(base_url: str, env: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Adapters, Catalog]]:
    """Every provider's adapter pointed at one address, and the market they belong to."""
    given = settings(base_url) | dict(env or {})
    market, media = market_of(given), MediaClient()
    made = make_adapters(market.providers, lookup_in(given), lambda: NOON, media)
    yield made, market
    await made.close()
    await media.close()
