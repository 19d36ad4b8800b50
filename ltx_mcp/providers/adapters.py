"""Makes the adapters of every provider that can be served from here. Brings httpx along, so it is imported late."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.provider_client import ProviderClient
from ltx_mcp.providers.base import AdapterContext, Provider
from ltx_mcp.providers.catalog_loader import can_serve, is_near, needed_urls, read_addresses, read_key, read_options


@dataclass(frozen=True)
class Adapters:
    """The adapters by provider; `near` are the providers whose own address is on this machine."""

    by_name: Mapping[str, Provider]
    near: frozenset[str]
    clients: Mapping[str, ProviderClient]
    urls: Mapping[str, tuple[str, ...]]

    def check_way(self, provider: str) -> None:
        """Whether an order could be sent there as this machine is set up; nobody is asked. Raises ProviderError, of an
        order that was not sent."""
        self.clients[provider].check_way(self.urls[provider])

    async def close(self) -> None:
        """End the connections they keep."""
        for client in self.clients.values():
            await client.close()


def make_adapters(
    providers: Iterable[ProviderSpec], lookup: Callable[[str], str], now: Callable[[], datetime], media: MediaClient
) -> Adapters:
    """One adapter for each provider with a key and an address, from the file of its name."""
    contexts = [_context(facts, lookup, now, media) for facts in providers if can_serve(facts, lookup)]
    return Adapters(
        {
            context.facts.name: import_module(f"{__package__}.{context.facts.name}").make_adapter(context)
            for context in contexts
        },
        frozenset(context.facts.name for context in contexts if context.client.near),
        {context.facts.name: context.client for context in contexts},
        {context.facts.name: tuple(context.urls[use] for use in needed_urls(context.facts)) for context in contexts},
    )


def _context(
    facts: ProviderSpec, lookup: Callable[[str], str], now: Callable[[], datetime], media: MediaClient
) -> AdapterContext:
    key, urls = read_key(facts, lookup), read_addresses(facts, lookup)
    secrets = [value for name in facts.key_env if (value := lookup(name))]
    needed = [urls[use] for use in needed_urls(facts)]
    near = bool(needed) and all(is_near(url) for url in needed)
    return AdapterContext(
        facts, ProviderClient(facts.name, secrets, near=near), key, urls, read_options(facts, lookup), now, media
    )
