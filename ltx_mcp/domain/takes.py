"""What several takes of one request cost: the limits of a call are for all of them, an offer's price is for one."""

from decimal import Decimal

from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import price_text


def share_of(limit_usd: Decimal | None, takes: int) -> Decimal | None:
    """What one take may cost where all may cost `limit_usd`; None is no limit."""
    return limit_usd if limit_usd is None or takes == 1 else limit_usd / takes


def total_text(offer: Offer, takes: int) -> str:
    """What all of them cost: `0.72 USD, at most 1.08`."""
    return price_text(offer.cost_usd * takes, offer.at_most_usd * takes)


def takes_price(offer: Offer, takes: int) -> str:
    """The price for a person: `0.24 USD`, or `3 takes at 0.24 USD, 0.72 USD in all`."""
    if takes == 1:
        return offer.price
    if offer.at_most_usd == offer.cost_usd:
        return f"{takes} takes at {offer.price}, {total_text(offer, takes)} in all"
    return f"{takes} takes at {offer.price} each; in all {total_text(offer, takes)}"
