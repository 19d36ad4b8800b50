"""Makes the adapters of every provider that can be served from here. Brings httpx along, so it is imported late."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from threading import Lock

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.provider_client import ProviderClient
from ltx_mcp.providers.base import AdapterContext, Provider, ReadNews
from ltx_mcp.providers.catalog_loader import (
    can_serve,
    is_loopback_url,
    needed_urls,
    read_addresses,
    read_key,
    read_options,
    with_account,
)


@dataclass(frozen=True)
class Adapters:
    """The adapters of the operator's accounts by provider, and what they were made from; `find` makes those of teams,
    whose account is the name of the variable that holds its key. `loopback` are the providers whose own address is on
    this machine."""

    by_name: Mapping[str, Provider]
    contexts: Mapping[str, AdapterContext]
    loopback: frozenset[str]
    make_context: Callable[[str, str], AdapterContext | None] = lambda provider, account: None
    _of_teams: dict[tuple[str, str], tuple[AdapterContext, Provider] | None] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def find(self, provider: str, account: str = "") -> Provider | None:
        """The adapter of an account; None where its key, or the provider's address, is not set here."""
        if not account:
            return self.by_name.get(provider)
        found = self._of_team(provider, account)
        return found[1] if found else None

    def _of_team(self, provider: str, account: str) -> tuple[AdapterContext, Provider] | None:
        with self._lock:
            if (provider, account) not in self._of_teams:
                context = self.make_context(provider, account)
                self._of_teams[provider, account] = (context, _make_adapter(context)) if context else None
            return self._of_teams[provider, account]

    def check_way(self, provider: str, account: str = "") -> None:
        """Whether an order could be sent there as this machine is set up; nothing is sent. Raises ProviderError, of an
        order that was not sent."""
        found = self._of_team(provider, account) if account else None
        context = found[0] if found else self.contexts[provider]
        context.client.check_way(context.urls[use] for use in needed_urls(context.facts))

    async def close(self) -> None:
        """End the connections they keep."""
        for context in (*self.contexts.values(), *(found[0] for found in self._of_teams.values() if found)):
            await context.client.close()


def make_adapters(
    providers: Iterable[ProviderSpec], lookup: Callable[[str], str], now: Callable[[], datetime], media: MediaClient
) -> Adapters:
    """One adapter for each provider with a key and an address, from the file of its name."""
    facts_by_name = {facts.name: facts for facts in providers}

    def make_context(provider: str, account: str) -> AdapterContext | None:
        facts = facts_by_name.get(provider)
        if facts is None or (account and not facts.key_env):
            return None
        theirs = with_account(facts, account, lookup)
        return _context(facts, theirs, now, media) if can_serve(facts, theirs) else None

    made = {name: make_context(name, "") for name in facts_by_name}
    contexts = {name: context for name, context in made.items() if context}
    by_name = {name: _make_adapter(context) for name, context in contexts.items()}
    loopback = frozenset(name for name, facts in facts_by_name.items() if _is_loopback(facts, lookup))
    return Adapters(by_name, contexts, loopback, make_context)


def find_news_reader(provider: str) -> ReadNews | None:
    """How what a provider tells by itself is read; None where it tells nothing."""
    reader: ReadNews | None = getattr(import_module(f"{__package__}.{provider}"), "read_news", None)
    return reader


def _make_adapter(context: AdapterContext) -> Provider:
    adapter: Provider = import_module(f"{__package__}.{context.facts.name}").make_adapter(context)
    return adapter


def _is_loopback(facts: ProviderSpec, lookup: Callable[[str], str]) -> bool:
    urls, needed = read_addresses(facts, lookup), needed_urls(facts)
    return bool(needed) and all(is_loopback_url(urls.get(use, "")) for use in needed)


def _context(
    facts: ProviderSpec, lookup: Callable[[str], str], now: Callable[[], datetime], media: MediaClient
) -> AdapterContext:
    key, urls = read_key(facts, lookup), read_addresses(facts, lookup)
    secrets = [value for name in facts.key_env if (value := lookup(name))]
    client = ProviderClient(facts.name, secrets, is_loopback=_is_loopback(facts, lookup))
    return AdapterContext(facts, client, key, urls, read_options(facts, lookup), now, media)
