"""Whose account pays: what a caller may order from, with which key, and which accounts cannot be served from here."""

from collections.abc import Callable
from dataclasses import replace

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.plan import Availability, Catalog
from ltx_mcp.domain.request import PREVIEW_PROVIDER
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.providers.catalog_loader import find_availability, with_account

Lookup = Callable[[str], str]


def catalog_for(catalog: Catalog, limits: CallerLimits, lookup: Lookup) -> Catalog:
    """What a caller with these limits can order. `lookup` gives the value of a variable."""
    if not (limits.providers or limits.accounts):
        return catalog
    availability = {facts.name: _availability(facts, catalog, limits, lookup) for facts in catalog.providers}
    return replace(catalog, availability=availability, order=limits.providers or catalog.order)


def _availability(facts: ProviderSpec, catalog: Catalog, limits: CallerLimits, lookup: Lookup) -> Availability:
    if limits.providers and facts.name not in limits.providers and facts.name != PREVIEW_PROVIDER:
        return Availability(False, f"{facts.name} is not for this caller.")
    account = limits.accounts.get(facts.name, "")
    if account and not lookup(account):
        return Availability(False, unset_text(facts.name, account))
    if account or (limits.providers and facts.name not in catalog.order):
        return find_availability(facts, limits.providers or catalog.order, with_account(facts, account, lookup))
    return catalog.availability[facts.name]


def why_not_served(catalog: Catalog, provider: str, account: str, lookup: Lookup) -> str:
    """The key or address that this process lacks for an account; empty where it is not known."""
    standing = catalog.availability.get(provider)
    if standing is None:
        return f"{provider} is gone."
    if not account:
        return standing.unavailable_reason
    if not lookup(account):
        return unset_text(provider, account)
    facts = catalog.facts(provider)
    return find_availability(facts, (provider,), with_account(facts, account, lookup)).unavailable_reason


def unset_text(provider: str, account: str) -> str:
    """Why nothing can be done with the account of a team: its key is not there."""
    return f"{provider} needs {account}."
