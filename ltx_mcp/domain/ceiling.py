"""What no offer of a job may pass, however its price rises until it is tried."""

from collections.abc import Sequence
from decimal import Decimal

from ltx_mcp.domain.offer import Offer

FAILOVER_PRICE_FACTOR = Decimal("1.1")
"""Without a cap of the caller's own, a later offer may cost this many times the first one."""


def ceiling(offers: Sequence[Offer], max_cost_usd: Decimal | None = None, above_usd: Decimal | None = None) -> Decimal:
    """USD: the caller's cap, or without one a tenth more than the first offer; and never more than a person who is
    asked above `above_usd` agreed to."""
    first = offers[0]
    with_spare = first.at_most_usd * FAILOVER_PRICE_FACTOR
    cap = with_spare if max_cost_usd is None else max_cost_usd
    if above_usd is None:
        return cap
    return min(cap, above_usd if first.fits(above_usd) else with_spare)


def within(offers: Sequence[Offer], max_usd: Decimal) -> tuple[Offer, ...]:
    """The offers that may be tried, in their order."""
    return tuple(offer for offer in offers if offer.fits(max_usd))
