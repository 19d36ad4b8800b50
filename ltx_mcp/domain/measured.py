"""Checks an order once its media are measured: whether what is about to be sent still costs and measures what was
planned; pure.
"""

from decimal import Decimal

from ltx_mcp.domain.catalog import Limit, OfferSpec
from ltx_mcp.domain.joined_format import check_cut
from ltx_mcp.domain.offer import NotOfferedError, Offer
from ltx_mcp.domain.output_format import ROUNDING_S, check_limits, context_within, shown_s
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.request import FROM_VIDEO, SHORTEST_SECTION_S, Input, family_of


def check_sent(offer: Offer, given: Input, row: OfferSpec | None) -> None:
    """Raises NotOfferedError if video or audio, as it is about to be sent, would cost more than quoted, or is outside
    the limits. Durations may differ by rounding."""
    more = _billed(offer, given, row) - offer.billed
    if offer.cost_usd and more > ROUNDING_S:
        cost_usd = offer.cost_usd * (offer.billed + more) / offer.billed
        raise NotOfferedError(
            f"{given.role} {given.duration_text} as it would be sent to {offer.provider}, and would cost"
            f" {to_text(round(cost_usd, 4))} USD; the order was quoted at {offer.price}."
        )
    if row is None:
        return
    if limit := row.media_limits.get(family_of(given.role)):
        check_limits(given, limit)
    if given.role != "audio":
        return
    seconds, limits = given.seconds, _limits_of(offer, row)
    if limits and all(abs(limit.duration.nearest(seconds) - seconds) > ROUNDING_S for limit in limits):
        allowed = ", or ".join(str(limit.duration) for limit in limits)
        raise NotOfferedError(
            f"audio {given.duration_text} as it would be sent to {offer.provider}; allowed: {allowed} s."
        )


def billed_duration(offer: Offer, given_s: Decimal) -> Decimal:
    """Seconds that are paid for, once the duration of the input is known."""
    if offer.operation == "extend":
        return offer.duration + min(offer.billed - offer.duration, given_s)
    return given_s


def check_section(offer: Offer, video: Input) -> None:
    """Raises NotOfferedError if a video that was not made yet became too short for the section ordered of it."""
    if offer.operation == "join" and video.kind == "video":
        check_cut(video)
    length, start = shown_s(video), offer.start_time or Decimal()
    if offer.operation == "retake" and video.role == "video" and length - start < SHORTEST_SECTION_S - ROUNDING_S:
        raise NotOfferedError(
            f"start_time {start:f}: the film of {video.job_id} lasts {length:f} s, "
            f"and {SHORTEST_SECTION_S} s must be left of it."
        )


def _billed(offer: Offer, given: Input, row: OfferSpec | None) -> Decimal:
    """Seconds that are paid for if this input is sent."""
    seconds = given.seconds
    if given.role != ("video" if offer.operation in FROM_VIDEO else "audio"):
        return offer.billed
    if offer.operation != "extend":
        return seconds
    if row is not None and row.bills == "output":
        return offer.duration + seconds
    if row is not None and offer.context is None:
        return offer.duration + context_within(given, row, offer.duration)
    return offer.billed


def shortest_of(offer: Offer, row: OfferSpec) -> Decimal:
    """The fewest seconds that could have been ordered."""
    return min((limit.duration.shortest for limit in _limits_of(offer, row)), default=offer.duration)


def _limits_of(offer: Offer, row: OfferSpec) -> list[Limit]:
    """The limits for the rate and resolution of an offer."""
    return [
        limit
        for limit in row.limits
        if offer.fps in (limit.fps or (offer.fps,)) and offer.resolution in (limit.resolution or (offer.resolution,))
    ]
