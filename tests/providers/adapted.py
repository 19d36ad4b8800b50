"""One adapter by itself, as the program makes it, for orders that are sent without a job around them. Not a test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.emulator.app import settings
from ltx_mcp.media.client import MediaClient
from ltx_mcp.providers.adapters import Adapters, make_adapters
from tests.providers.bench import NOON, catalog_of, lookup_in


@asynccontextmanager
async def adapters_at(base_url: str, env: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Adapters, Catalog]]:
    """Every provider's adapter pointed at one address, and the catalog they belong to."""
    given = settings(base_url) | dict(env or {})
    catalog, media = catalog_of(given), MediaClient()
    made = make_adapters(catalog.providers, lookup_in(given), lambda: NOON, media)
    yield made, catalog
    await made.close()
    await media.close()
