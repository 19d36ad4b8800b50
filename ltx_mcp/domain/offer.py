"""The records of a plan: an order that could be placed, what it changes, and why another cannot be placed."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ltx_mcp.domain.catalog import OfferSpec, ProviderSpec
from ltx_mcp.domain.join import JoinPlan
from ltx_mcp.domain.price import price_text
from ltx_mcp.domain.request import PREVIEW_PROVIDER

CEILING_BYTES, FLOOR_BYTES = 8 << 30, 200_000_000
MAX_BYTES_PER_PIXEL = Decimal("0.75")
USUAL_BITS_PER_PIXEL = Decimal("0.2")
"""Measured: 0.02 to 0.14 for previews; camera videos of 20 Mbit/s have 0.4 at 1080p."""
AUDIO_BYTES_PER_S = 40_000


_BILLED_MEDIA = {
    "audio_to_video": "the whole sound",
    "retake": "the whole video, not only the section",
    "reframe": "the whole video",
}

CAPTION = "caption"
"""The field of an adjustment that concerns only the caption of a preview: the prompt itself is used completely."""


@dataclass(frozen=True)
class Adjustment:
    """A difference from the request: changed by us before the order, by the provider, or found in the video."""

    field: str
    asked: str
    got: str
    by: Literal["server", "provider", "film"]


@dataclass(frozen=True)
class Offer:
    """One complete order: an adapter translates it and decides nothing. `cost_usd` is its quoted price, and
    `at_most_usd` what may be charged: more if the provider charges whole credits, or if a newer reading of its price is
    higher (`highest_usd`). Caps, budgets, consent and reservations use that.

    `duration` is what is ordered, in seconds: the video, an extension's new part, a retake's section. `output_duration`
    is the duration of the result, if it differs, and `billed_s` what is paid for. `auto_duration`: the provider chooses
    the duration, and `duration` is the longest it may choose. `width`, `height` and `fps` are the result's. `context`
    and `start_time` are seconds of the input video; `seed` None is the provider's own. `frames` are those of the
    result, where they are ordered or paid. `join` is how several videos are joined here.
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
    seed: int | None = None
    frames: int | None = None
    join: JoinPlan | None = None

    @property
    def is_preview(self) -> bool:
        """Whether the video is drawn here, or joined from one that was."""
        return self.join.is_preview if self.join else self.provider == PREVIEW_PROVIDER

    @property
    def at_most_usd(self) -> Decimal:
        """What may be charged; a budget counts this until the provider's own figure is known."""
        return max(self.cost_usd, self.whole_credits_usd or Decimal(), self.highest_usd or Decimal())

    def fits(self, max_usd: Decimal | None) -> bool:
        """Whether what may be charged is within a cap, a limit or the rest of a budget; None is no limit."""
        return max_usd is None or self.at_most_usd <= max_usd

    @property
    def price(self) -> str:
        """Its price for a person: `0.24 USD, at most 0.36`."""
        return price_text(self.cost_usd, self.at_most_usd)

    @property
    def length(self) -> Decimal:
        """Seconds of the result; the maximum, if the provider chooses."""
        return self.duration if self.output_duration is None else self.output_duration

    def cost_of(self, seconds: Decimal) -> Decimal:
        """The price of this many paid seconds; never more than the offer's."""
        return min(self.cost_usd, self.cost_usd * seconds / self.billed)

    def at_most_of(self, seconds: Decimal) -> Decimal:
        """What may be charged for this many paid seconds."""
        return min(self.at_most_usd, self.at_most_usd * seconds / self.billed)

    @property
    def max_bytes(self) -> int:
        """A larger file cannot be the result of this order: it is half the size of the uncompressed frames in 4:2:0,
        and some thirty times that of LTX's videos."""
        return min(CEILING_BYTES, max(FLOOR_BYTES, int(self._pixels * MAX_BYTES_PER_PIXEL)))

    @property
    def expected_bytes(self) -> int:
        """Disk space to reserve for the result: two to three times the size of such videos."""
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
        """Which seconds are paid for, for a person; empty if they are those that were asked for."""
        if self.auto_duration:
            return f"{self.duration:f} s at most: booked by the length that comes"
        if self.operation == "extend":
            return f"{self.billed:f} s: {self.duration:f} new, {self.billed - self.duration:f} of context"
        return f"{self.billed:f} s: {_BILLED_MEDIA[self.operation]}" if self.operation in _BILLED_MEDIA else ""


def row_of(offer: Offer, provider: ProviderSpec) -> OfferSpec | None:
    """The row an offer was made from; None if the catalog no longer has it."""
    same = (offer.model, offer.operation, offer.endpoint)
    return next((row for row in provider.offer if (row.model, row.operation, row.endpoint) == same), None)


@dataclass(frozen=True)
class Candidate:
    """What a row makes of a request, and by how much that differs from it; 0 if nothing does."""

    offer: Offer
    deviation: float


@dataclass(frozen=True)
class Refusal:
    """A row that cannot be ordered; the reason says what it allows."""

    provider: str
    model: str
    reason: str


class NotOfferedError(Exception):
    """Why a row of the catalog does not fit a request, as a sentence for the caller."""
