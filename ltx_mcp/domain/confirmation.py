"""Prices above the operator's limit: when a person must agree, to what, and how they are asked.

The limit and the consent concern what may be charged. Where nobody can be asked, the refusal names an amount that no
caller gives by chance: the price, rounded up to a cent and made unique below it. Only a call with exactly this cap is
consent, once. All of it concerns the sum of the takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import cite
from ltx_mcp.domain.takes import share_of, takes_price

CENT = Decimal("0.01")
MAX_PROMPT = 60
NOT_ORDERED = "Not ordered."
CONFIRM_SETTING = "LTX_MCP_CONFIRM_ABOVE_USD"
"""What sets the limit, where nothing else does."""
CHEAPER = "choose something cheaper: shorter or a lower resolution."


@dataclass(frozen=True)
class ConfirmationPrompt:
    """What a person is asked; the reply contains `token`."""

    token: str
    text: str


@dataclass(frozen=True)
class ConfirmationReply:
    """A person's reply; `yes` is None if none came."""

    token: str
    yes: bool | None


class ConfirmationRequiredError(CallerError):
    """Nothing was ordered, because a person must agree first. Message and hint are for an agent, `terminal_message` for
    a person at a terminal."""

    def __init__(self, message: str, hint: str, terminal_message: str) -> None:
        super().__init__(ErrorCode.NEEDS_CONFIRMATION, message, hint)
        self.terminal_message = terminal_message


def needs_confirmation(offers: Sequence[Offer], above_usd: Decimal | None, takes: int = 1) -> bool:
    """Whether a person must agree to the price of the first offer; None is no limit."""
    return not offers[0].fits(share_of(above_usd, takes))


def one_time_amount(offer: Offer, tail: int, takes: int = 1) -> Decimal:
    """What may be charged, rounded up to a cent, plus `tail` (1 to 99) hundredths of a cent that make it unique."""
    return (offer.at_most_usd * takes).quantize(CENT, ROUND_CEILING) + CENT * CENT * tail


def question_text(offers: Sequence[Offer], above_usd: Decimal, takes: int = 1, setting: str = CONFIRM_SETTING) -> str:
    """The question in one line: the price first, the caller's words last, where they cannot be mistaken for ours."""
    first = offers[0]
    dearest = max(offers, key=lambda offer: offer.at_most_usd)
    max_text = to_text(dearest.at_most_usd * takes)
    more = "" if dearest.fits(first.at_most_usd) else f"; at most {max_text} USD if another provider must take over"
    cited = cite(first.prompt, MAX_PROMPT)
    prompt = f" Prompt: {cited}" if cited else ""
    return f"Pay {_offered(first, takes)}? Prices above {_limit(above_usd, setting)} need your yes{more}.{prompt}"


def not_asked(
    offers: Sequence[Offer], above_usd: Decimal, amount: Decimal, takes: int = 1, setting: str = CONFIRM_SETTING
) -> ConfirmationRequiredError:
    """The refusal where nobody can be asked: it names the one-time amount that expresses a person's consent."""
    price = f"The price is {_offered(offers[0], takes)}. Above {_limit(above_usd, setting)} a person must agree first"
    return ConfirmationRequiredError(
        f"{price}; nothing was ordered.",
        f"Ask the user. Only if they agree, repeat the same call within ten minutes with exactly "
        f"max_cost_usd={to_text(amount)}: that is their consent, once. If not, {CHEAPER}",
        f"{price}. Not ordered. To agree: --yes, or once within ten minutes max_cost_usd={to_text(amount)}.",
    )


def unanswered(
    offers: Sequence[Offer], above_usd: Decimal, takes: int = 1, setting: str = CONFIRM_SETTING
) -> ConfirmationRequiredError:
    """The refusal when a person was asked and did not answer."""
    return ConfirmationRequiredError(
        f"Nobody answered the question whether to pay {_offered(offers[0], takes)}. Above "
        f"{_limit(above_usd, setting)} a person must agree first; nothing was ordered.",
        f"The same call asks again: tell the user that a question comes, or {CHEAPER}",
        NOT_ORDERED,
    )


def declined(
    offers: Sequence[Offer], above_usd: Decimal, takes: int = 1, setting: str = CONFIRM_SETTING
) -> ConfirmationRequiredError:
    """The refusal after a no."""
    return ConfirmationRequiredError(
        f"The user declined {_offered(offers[0], takes)}, above {_limit(above_usd, setting)}; nothing was ordered.",
        f"Do not repeat it: ask the user what they want instead, or {CHEAPER}",
        NOT_ORDERED,
    )


def _offered(offer: Offer, takes: int) -> str:
    credits = f" ({offer.credits * takes} credits)" if offer.credits else ""
    audio = "with sound" if offer.generate_audio else "silent"
    video = f"{offer.duration} s of {offer.resolution}, {offer.aspect_ratio}, {offer.fps} fps, {audio}"
    order = f"{'1 video' if takes == 1 else f'{takes} videos'}, {offer.operation}, {video}"
    return f"{takes_price(offer, takes)}{credits} at {offer.provider} ({offer.model}): {order}"


def _limit(above_usd: Decimal, setting: str) -> str:
    return f"{to_text(above_usd)} USD ({setting})"
