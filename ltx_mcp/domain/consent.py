"""Prices above the operator's limit: when a person must agree, how far that goes, and the words it is asked in."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import FAILOVER_ALLOWANCE
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import cite

MOST_PROMPT = 60
CHEAPER = "choose something cheaper: shorter or a lower resolution."


@dataclass(frozen=True)
class Question:
    """What a person is asked; `token` goes back with the answer."""

    token: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What a person said to a question."""

    token: str
    yes: bool


def needs_consent(offers: Sequence[Offer], above_usd: Decimal | None) -> bool:
    """Whether a person must agree to the price of the first of these offers; None is no limit."""
    return above_usd is not None and offers[0].at_most_usd > above_usd


def covered(offers: Sequence[Offer], above_usd: Decimal | None) -> tuple[Offer, ...]:
    """The offers that may be tried with the consent there is: what needs none goes no further than the limit, what is
    agreed to no further than the price that was told and a tenth more."""
    if above_usd is None:
        return tuple(offers)
    asked = needs_consent(offers, above_usd)
    most = offers[0].at_most_usd * FAILOVER_ALLOWANCE if asked else above_usd
    return tuple(offer for offer in offers if offer.at_most_usd <= most)


def question_text(offers: Sequence[Offer], above_usd: Decimal) -> str:
    """What a person is asked, in one line: the price first, and the caller's own words last, where they cannot be taken
    for ours."""
    first, most = offers[0], max(offer.at_most_usd for offer in offers)
    more = f"; at most {to_text(most)} USD if another provider must take over" if most > first.at_most_usd else ""
    words = cite(first.prompt, MOST_PROMPT)
    prompt = f" Prompt: {words}" if words else ""
    return f"Pay {_offered(first)}? Prices above {_limit(above_usd)} need your yes{more}.{prompt}"


def not_asked(offers: Sequence[Offer], above_usd: Decimal) -> CallerError:
    """The refusal where nobody could be asked: it says how to bring a person's consent."""
    return CallerError(
        ErrorCode.NEEDS_CONFIRMATION,
        f"The price is {_offered(offers[0])}. Above {_limit(above_usd)} a person must agree first; "
        "nothing was ordered.",
        f"Ask the user. If they agree, repeat the same call within ten minutes with "
        f"max_cost_usd={to_text(offers[0].at_most_usd)}; if not, {CHEAPER}",
    )


def declined(offers: Sequence[Offer], above_usd: Decimal) -> CallerError:
    """The refusal after a no."""
    return CallerError(
        ErrorCode.NEEDS_CONFIRMATION,
        f"The user declined {_offered(offers[0])}, above {_limit(above_usd)}; nothing was ordered.",
        f"Do not repeat it: ask the user what they want instead, or {CHEAPER}",
    )


def _offered(offer: Offer) -> str:
    credits = f" ({offer.credits} credits)" if offer.credits else ""
    sound = "with sound" if offer.generate_audio else "silent"
    film = f"{offer.duration} s of {offer.resolution}, {offer.aspect_ratio}, {offer.fps} fps, {sound}"
    order = f"1 video, {offer.operation}, {film}"
    return f"{to_text(offer.at_most_usd)} USD{credits} at {offer.provider} ({offer.model}): {order}"


def _limit(above_usd: Decimal) -> str:
    return f"{to_text(above_usd)} USD (LTX_MCP_CONFIRM_ABOVE_USD)"
