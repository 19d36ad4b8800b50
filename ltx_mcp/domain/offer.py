"""The records of a plan: an order that could be placed, what it changes of what was asked, why another cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ltx_mcp.domain.catalog import OfferSpec, ProviderSpec
from ltx_mcp.domain.price import price_text

CEILING_BYTES, FLOOR_BYTES = 8 << 30, 200_000_000
MAX_BYTES_PER_PIXEL = Decimal("0.75")
USUAL_BITS_PER_PIXEL = Decimal("0.2")
"""Of a film's every frame. Measured 0.02 to 0.14 for previews; films of cameras at 20 Mbit/s have 0.4 at 1080p."""
AUDIO_BYTES_PER_S = 40_000


_BILLED_MEDIA = {"audio_to_video": "the whole sound", "retake": "the whole video, not only the section"}

CAPTION = "caption"
"""The field of what a preview's picture shows of its prompt, which is used whole all the same."""


@dataclass(frozen=True)
class Adjustment:
    """Something that differs from what was asked: by us before the order, by the provider, or seen in the film."""

    field: str
    asked: str
    got: str
    by: Literal["server", "provider", "film"]


@dataclass(frozen=True)
class Offer:
    """One order, complete: an adapter translates it and decides nothing. `cost_usd` is its whole price as quoted, and
    `at_most_usd` what may be charged: more where the provider counts in whole credits, or where a newer reading of its
    price is higher (`highest_usd`). Caps, budgets, consent and reservations compare that.

    `duration` is what is ordered, in seconds: the video, an extension's new part, a retake's section. `output_duration`
    is how long the video will be where that is another figure, `billed_s` what is paid for. `auto_duration`: the
    provider chooses the length, and `duration` is the longest it may choose. `width`, `height` and `fps` are the
    video's. `context` and `start_time` are seconds of the given video.
    """

    provider: str
    model: str
    operation: str
    endpoint: str
    prompt: str
    duration: Decimal
    resolution: str
    aspect_ratio: str
    width: int
    height: int
    fps: int
    generate_audio: bool
    camera_motion: str
    cost_usd: Decimal
    credits: int | None
    as_of: str
    source: str
    conversions: dict[str, str]
    adjustments: tuple[Adjustment, ...]
    whole_credits_usd: Decimal | None = None
    mode: str = ""
    start_time: Decimal | None = None
    context: Decimal | None = None
    output_duration: Decimal | None = None
    billed_s: Decimal | None = None
    auto_duration: bool = False
    highest_usd: Decimal | None = None

    @property
    def at_most_usd(self) -> Decimal:
        """What may be charged for it; a budget counts that until the provider's own figure is known."""
        return max(self.cost_usd, self.whole_credits_usd or Decimal(), self.highest_usd or Decimal())

    def fits(self, max_usd: Decimal | None) -> bool:
        """Whether all that may be charged for it stays within a cap, a limit or what is left; None is no limit."""
        return max_usd is None or self.at_most_usd <= max_usd

    @property
    def price(self) -> str:
        """Its price for a person: `0.24 USD, at most 0.36`."""
        return price_text(self.cost_usd, self.at_most_usd)

    @property
    def length(self) -> Decimal:
        """Seconds of film that should come; at most, where the provider chooses."""
        return self.duration if self.output_duration is None else self.output_duration

    def cost_of(self, seconds: Decimal) -> Decimal:
        """The price when this many seconds are paid for in the end; never more than the offer's."""
        return min(self.cost_usd, self.cost_usd * seconds / self.billed)

    def at_most_of(self, seconds: Decimal) -> Decimal:
        """What may be charged for so many."""
        return min(self.at_most_usd, self.at_most_usd * seconds / self.billed)

    @property
    def max_bytes(self) -> int:
        """More than this is no film of this order: half of what its frames take uncompressed in 4:2:0, which no codec
        that films are sent in needs, and some thirty times what LTX's films have."""
        return min(CEILING_BYTES, max(FLOOR_BYTES, int(self._pixels * MAX_BYTES_PER_PIXEL)))

    @property
    def expected_bytes(self) -> int:
        """Room that its film may take on a disk: widely what such films have, which is a third to a half of it."""
        usual = int(self._pixels * USUAL_BITS_PER_PIXEL / 8 + self.length * AUDIO_BYTES_PER_S)
        return min(usual, self.max_bytes // 10)

    @property
    def _pixels(self) -> Decimal:
        return self.width * self.height * self.fps * self.length

    @property
    def billed(self) -> Decimal:
        """Seconds that are paid for."""
        return self.length if self.billed_s is None else self.billed_s

    @property
    def paid_for(self) -> str:
        """Which seconds it is paid for, and of what, for a person; empty where they are those that were asked for."""
        if self.auto_duration:
            return f"{self.duration:f} s at most: booked by the length that comes"
        if self.operation == "extend":
            return f"{self.billed:f} s: {self.duration:f} new, {self.billed - self.duration:f} of context"
        return f"{self.billed:f} s: {_BILLED_MEDIA[self.operation]}" if self.operation in _BILLED_MEDIA else ""


def row_of(offer: Offer, provider: ProviderSpec) -> OfferSpec | None:
    """The row an offer was made from; None where the facts have it no more."""
    same = (offer.model, offer.operation, offer.endpoint)
    return next((row for row in provider.offer if (row.model, row.operation, row.endpoint) == same), None)


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


@dataclass(frozen=True)
class Refusal:
    """A candidate that cannot be ordered at all, in a sentence that says what it would allow."""

    provider: str
    model: str
    reason: str


class NotOfferedError(Exception):
    """Why a row of the facts does not fit a request, as a sentence for the caller."""
