"""Makes the adapters of every provider that can be served from here. Brings httpx along, so it is imported late."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.provider_client import ProviderClient
from ltx_mcp.providers.base import AdapterContext, Provider
from ltx_mcp.providers.catalog_loader import (
    can_serve,
    is_loopback_url,
    needed_urls,
    read_addresses,
    read_key,
    read_options,
)


@dataclass(frozen=True)
class Adapters:
    """The adapters by provider, and what they were made from."""

    by_name: Mapping[str, Provider]
    contexts: Mapping[str, AdapterContext]

    @property
    def loopback(self) -> frozenset[str]:
        """The providers whose own address is on this machine."""
        return frozenset(name for name, context in self.contexts.items() if context.client.is_loopback)

    def check_way(self, provider: str) -> None:
        """Whether an order could be sent there as this machine is set up; nothing is sent. Raises ProviderError, of an
        order that was not sent."""
        context = self.contexts[provider]
        context.client.check_way(context.urls[use] for use in needed_urls(context.facts))

    async def close(self) -> None:
        """End the connections they keep."""
        for context in self.contexts.values():
            await context.client.close()


def make_adapters(
    providers: Iterable[ProviderSpec], lookup: Callable[[str], str], now: Callable[[], datetime], media: MediaClient
) -> Adapters:
    """One adapter for each provider with a key and an address, from the file of its name."""
    contexts = {facts.name: _context(facts, lookup, now, media) for facts in providers if can_serve(facts, lookup)}
    by_name = {name: import_module(f"{__package__}.{name}").make_adapter(context) for name, context in contexts.items()}
    return Adapters(by_name, contexts)


def _context(
    facts: ProviderSpec, lookup: Callable[[str], str], now: Callable[[], datetime], media: MediaClient
) -> AdapterContext:
    key, urls = read_key(facts, lookup), read_addresses(facts, lookup)
    secrets = [value for name in facts.key_env if (value := lookup(name))]
    needed = [urls[use] for use in needed_urls(facts)]
    is_loopback = bool(needed) and all(is_loopback_url(url) for url in needed)
    client = ProviderClient(facts.name, secrets, is_loopback=is_loopback)
    return AdapterContext(facts, client, key, urls, read_options(facts, lookup), now, media)
