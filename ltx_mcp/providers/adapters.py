"""Makes the adapters of every provider that can be served from here. Brings httpx along, so it is imported late."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from ltx_mcp.domain.facts import ProviderFacts
from ltx_mcp.media.worker import Media
from ltx_mcp.net.wire import Wire
from ltx_mcp.providers.base import Provider, Setup
from ltx_mcp.providers.table import can_serve, is_near, needed_urls, read_addresses, read_key, read_options


@dataclass(frozen=True)
class Adapters:
    """The adapters by provider; `near` are the providers whose own address is on this machine."""

    by_name: Mapping[str, Provider]
    near: frozenset[str]
    wires: Mapping[str, Wire]
    urls: Mapping[str, tuple[str, ...]]

    def check_way(self, provider: str) -> None:
        """Whether an order could be sent there as this machine is set up; nobody is asked. Raises ProviderError, of an
        order that was not sent."""
        self.wires[provider].check_way(self.urls[provider])

    async def close(self) -> None:
        """End the connections they keep."""
        for wire in self.wires.values():
            await wire.close()


def make_adapters(
    providers: Iterable[ProviderFacts], lookup: Callable[[str], str], now: Callable[[], datetime], media: Media
) -> Adapters:
    """One adapter for each provider with a key and an address, from the file of its name."""
    setups = [_setup(facts, lookup, now, media) for facts in providers if can_serve(facts, lookup)]
    return Adapters(
        {setup.facts.name: import_module(f"{__package__}.{setup.facts.name}").make_adapter(setup) for setup in setups},
        frozenset(setup.facts.name for setup in setups if setup.wire.near),
        {setup.facts.name: setup.wire for setup in setups},
        {setup.facts.name: tuple(setup.urls[use] for use in needed_urls(setup.facts)) for setup in setups},
    )


def _setup(facts: ProviderFacts, lookup: Callable[[str], str], now: Callable[[], datetime], media: Media) -> Setup:
    key, urls = read_key(facts, lookup), read_addresses(facts, lookup)
    secrets = [value for name in facts.key_env if (value := lookup(name))]
    needed = [urls[use] for use in needed_urls(facts)]
    near = bool(needed) and all(is_near(url) for url in needed)
    return Setup(facts, Wire(facts.name, secrets, near=near), key, urls, read_options(facts, lookup), now, media)
