"""What several takes of one request cost: the limits of a call are for all of them, an offer's price is for one."""

from decimal import Decimal

from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import price_text, to_text


def share_of(limit_usd: Decimal | None, takes: int) -> Decimal | None:
    """What one take may cost where all may cost `limit_usd`; None is no limit."""
    return limit_usd if limit_usd is None or takes == 1 else limit_usd / takes


def takes_price(offer: Offer, takes: int) -> str:
    """The price for a person: `0.24 USD`, or `3 takes at 0.24 USD, 0.72 USD in all`."""
    if takes == 1:
        return offer.price
    each, total = offer.cost_usd, offer.cost_usd * takes
    if offer.at_most_usd <= each:
        return f"{takes} takes at {price_text(each)}, {price_text(total)} in all"
    most = [to_text(offer.at_most_usd * times) for times in (1, takes)]
    return f"{takes} takes at {price_text(each)} (at most {most[0]}), {price_text(total)} in all (at most {most[1]})"
