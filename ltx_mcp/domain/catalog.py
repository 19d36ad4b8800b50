"""The format of `providers/*.toml`: what can be ordered, from whom, within which limits, at what price.

An invalid file is refused at start with the field's name.
"""

import re
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from ltx_mcp.domain.argument_types import AspectRatio, CameraMotion, Operation, Resolution
from ltx_mcp.domain.request import EDITS, FROM_VIDEO

DeliveryMethod = Literal["upload", "url", "data", "part", "file"]
"""How a provider gets a media file: by its upload call, a public URL, a data URI, a multipart file, or a local path."""
Kind = Annotated[str, Field(pattern="^(image|video|audio)$")]
Role = Literal["image", "end_image", "video", "audio"]
RoleName = Annotated[str, Field(pattern="^(image|end_image|video|audio)$")]


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


NUMBER = BeforeValidator(_number)
MAX_USD = 100
"""For a second or a credit: far above any real price, so more can only be a typing error."""
Amount = Annotated[Decimal, NUMBER, Field(ge=0, le=MAX_USD, decimal_places=12, allow_inf_nan=False)]
Seconds = Annotated[Decimal, NUMBER, Field(ge=0, le=86400, decimal_places=6, allow_inf_nan=False)]
Rest = Annotated[float, NUMBER, Field(gt=0, le=86400, allow_inf_nan=False)]
Part = Annotated[float, NUMBER, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, NUMBER, Field(ge=1, le=1_000_000)]
Edge = Annotated[int, NUMBER, Field(ge=1, le=65_536)]
Pixels = Annotated[int, NUMBER, Field(ge=1, le=65_536**2)]
Bytes = Annotated[int, NUMBER, Field(ge=1, le=10**12)]
Lifetime = Annotated[int, NUMBER, Field(ge=1, le=10 * 365 * 86400)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.*\[\]:-]+$")]


class StrictModel(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberRange(StrictModel):
    """Every number from `low` to `high`; with `step`, only `low` plus a multiple of it."""

    low: Seconds = Field(alias="from")
    high: Annotated[Seconds, Field(gt=0)] = Field(alias="to")
    step: Annotated[Seconds, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _low_to_high(self) -> "NumberRange":
        if self.low > self.high:
            raise ValueError(f"from {self.low} should not be above to {self.high}")
        return self

    def nearest(self, asked: Decimal) -> Decimal:
        """The allowed number closest to `asked`."""
        inside = min(max(asked, self.low), self.high)
        if self.step is None:
            return inside
        steps = ((inside - self.low) / self.step).to_integral_value()
        return min(self.low + steps * self.step, self.high)

    @property
    def shortest(self) -> Decimal:
        """The smallest allowed number."""
        return self.low

    @property
    def longest(self) -> Decimal:
        """The largest allowed number."""
        return self.nearest(self.high)

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step else "")


class NumberChoices(StrictModel):
    """One of a list of numbers."""

    values: tuple[Seconds, ...] = Field(min_length=1)

    def nearest(self, asked: Decimal) -> Decimal:
        """The allowed number closest to `asked`; the smaller of two equally close ones."""
        return min(self.values, key=lambda value: (abs(value - asked), value))

    @property
    def shortest(self) -> Decimal:
        """The smallest allowed number."""
        return min(self.values)

    @property
    def longest(self) -> Decimal:
        """The largest allowed number."""
        return max(self.values)

    def __str__(self) -> str:
        return ", ".join(format(value, "f") for value in self.values)


def _to_numbers(value: Any) -> Any:
    if isinstance(value, dict | NumberRange | NumberChoices):
        return value
    return {"values": value if isinstance(value, list | tuple) else [value]}


def _numbers_tag(value: Any) -> str:
    return (
        "from-to" if isinstance(value, NumberRange) or (isinstance(value, dict) and "values" not in value) else "list"
    )


Numbers = Annotated[
    Annotated[NumberRange, Tag("from-to")] | Annotated[NumberChoices, Tag("list")],
    Discriminator(_numbers_tag),
    BeforeValidator(_to_numbers),
]


class Limit(StrictModel):
    """A request is allowed when one limit of the offer allows all three. Without rates or resolutions the result has
    those of the input video."""

    duration: Numbers
    fps: tuple[Annotated[int, NUMBER, Field(ge=1, le=240)], ...] = ()
    resolution: tuple[Resolution, ...] = ()

    def __str__(self) -> str:
        rates = f" at {', '.join(map(str, self.fps))} fps" if self.fps else ""
        sizes = f" in {', '.join(self.resolution)}" if self.resolution else ""
        return f"duration {self.duration}{rates}{sizes}"

    @field_validator("duration")
    @classmethod
    def _is_positive(cls, duration: NumberRange | NumberChoices) -> NumberRange | NumberChoices:
        if duration.shortest <= 0:
            raise ValueError("should be above 0 seconds")
        return duration


class PixelTier(StrictModel):
    """USD per second for frames of at most `up_to` pixels; without `up_to`, for all larger ones."""

    usd_per_second: Amount
    up_to: Pixels | None = None


class PriceReading(StrictModel):
    """What a second costs by one source, by resolution label or by pixel count; or a megapixel of all frames together,
    of which every one that was begun is paid."""

    as_of: date
    source: str
    usd_per_second: dict[Resolution, Amount] = Field(default_factory=dict)
    pixel_tiers: tuple[PixelTier, ...] = ()
    usd_per_megapixel: Amount | None = None


class Price(PriceReading):
    """The quoted price of a row. `at_most` is a higher reading of another source: until that is settled it may be
    charged, so a budget must hold it."""

    at_most: PriceReading | None = None

    @model_validator(mode="after")
    def _one_way_to_price(self) -> "Price":
        ways = (bool(self.usd_per_second), bool(self.pixel_tiers), self.usd_per_megapixel is not None)
        if sum(ways) != 1:
            raise ValueError("give one of usd_per_second, pixel_tiers and usd_per_megapixel")
        sizes = [tier.up_to or Decimal("inf") for tier in self.pixel_tiers]
        if any(size >= larger for size, larger in pairwise(sizes)):
            raise ValueError("pixel_tiers should grow by up_to, and only the last one may lack it")
        return self

    @model_validator(mode="after")
    def _higher_for_each_size(self) -> "Price":
        if self.at_most is None:
            return self
        higher = self.at_most.usd_per_second
        if higher.keys() != self.usd_per_second.keys() or any(
            higher[size] < usd for size, usd in self.usd_per_second.items()
        ):
            raise ValueError("at_most should name each size of usd_per_second, none with less")
        tiers, higher_tiers = self.pixel_tiers, self.at_most.pixel_tiers
        if [tier.up_to for tier in tiers] != [tier.up_to for tier in higher_tiers] or any(
            high.usd_per_second < tier.usd_per_second for tier, high in zip(tiers, higher_tiers, strict=True)
        ):
            raise ValueError("at_most should name each of pixel_tiers, none with less")
        rate, higher_rate = self.usd_per_megapixel, self.at_most.usd_per_megapixel
        if (rate is None) != (higher_rate is None) or (higher_rate or 0) < (rate or 0):
            raise ValueError("at_most should name usd_per_megapixel where the price does, and not with less")
        return self


class InputSpec(StrictModel):
    """What a provider accepts of one kind of media, and by which delivery methods, the best first. Images are named by
    format, video and audio by `container/codec`."""

    accepts: tuple[Name, ...] = Field(min_length=1)
    ways: tuple[DeliveryMethod, ...] = Field(min_length=1)
    max_bytes: Bytes | None = None


class InputLimits(StrictModel):
    """What an offer requires of an input beyond its format: `duration` in seconds, edges in pixels as shown."""

    duration: NumberRange | None = None
    min_frames: Count | None = None
    max_frames: Count | None = None
    min_short_edge: Edge | None = None
    max_long_edge: Edge | None = None
    max_short_edge: Edge | None = None
    max_bytes: Bytes | None = None
    aspect_ratio: tuple[AspectRatio, ...] = ()


class PollInterval(StrictModel):
    """How often an order is polled: after `first_s`, then `factor` times longer each time, up to `most_s`. `jitter` is
    the random part that may be added, so that many orders are not polled at the same time."""

    first_s: Rest = 5
    factor: Annotated[Rest, Field(ge=1, le=100)] = 1
    most_s: Rest = 5
    jitter: Part = 0.2


class Option(StrictModel):
    """A setting of one provider with a few possible values, the default first. `ended`: why a value that can still be
    chosen will probably not work."""

    env: str
    values: tuple[str, ...] = Field(min_length=1)
    meaning: str
    ended: dict[str, str] = Field(default_factory=dict)


class KeyFormat(StrictModel):
    """What a key looks like, if that is documented: as a regular expression, and in `words` for a person."""

    pattern: str
    words: str
    as_of: date
    source: str

    @field_validator("pattern")
    @classmethod
    def _can_be_read(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"should be a regular expression: {error}") from error
        return pattern


class WebhookSpec(StrictModel):
    """How a provider tells by itself that an order has ended, if it is asked to: `parameter` of the order's address
    names where. What it tells is signed by a key that lies at `keys_path` of its address `keys_url`, and counts for
    `within_s`; the keys count for `keys_live_s`."""

    parameter: Name
    keys_url: Name
    keys_path: str
    within_s: Lifetime
    keys_live_s: Lifetime
    as_of: date
    source: str


class OfferSpec(StrictModel):
    """One thing that can be ordered: a model doing an operation.

    `bills`: whose seconds are paid. `automatic`: the provider can choose the duration. `media_limits` are by role.
    `context` are the seconds of the input video an extension may use, `context_frames` the maximum of frames of context
    and new part together. `start_time` are the seconds at which a retake may begin. `film_short_edge` is the result's
    short edge where the provider scales it. `seed`: whether a seed can be given. `frame_step`: the video has a multiple
    of it and one frame more; `edge_step`: its edges are multiples of it. `is_operators`: the row is from the file
    of LTX_MCP_MODELS.
    """

    model: Name
    operation: Operation
    endpoint: Name
    limits: tuple[Limit, ...] = Field(min_length=1)
    aspect_ratio: tuple[AspectRatio, ...] = Field(min_length=1)
    price: Price
    bills: Literal["output", "input", "new+context"] = "output"
    camera_motion: tuple[CameraMotion, ...] = ("none",)
    generate_audio: tuple[bool, ...] = (True, False)
    automatic: bool = False
    media: tuple[Role, ...] = ()
    media_limits: dict[RoleName, InputLimits] = Field(default_factory=dict)
    needs_prompt: bool = False
    modes: tuple[str, ...] = ()
    context: NumberRange | None = None
    context_frames: Count | None = None
    start_time: NumberRange | None = None
    film_short_edge: Edge | None = None
    seed: bool = False
    frame_step: Count | None = None
    edge_step: Edge | None = None
    is_operators: bool = Field(default=False, exclude=True)
    min_edge: Edge = 1
    max_long_edge: Edge | None = None
    max_short_edge: Edge | None = None

    @model_validator(mode="after")
    def _check_row(self) -> "OfferSpec":
        """Generated video needs rates and sizes, every allowed size a price, and edges must be consistent."""
        if self.operation not in EDITS and not all(limit.resolution for limit in self.limits):
            raise ValueError("each of limits needs resolution")
        if self.operation not in FROM_VIDEO and not all(limit.fps for limit in self.limits):
            raise ValueError("each of limits needs fps")
        sizes = {label for limit in self.limits for label in limit.resolution}
        if unpriced := sorted(sizes - self.price.usd_per_second.keys()) if self.price.usd_per_second else []:
            raise ValueError(f"price.usd_per_second has none for {', '.join(unpriced)}, which limits allow")
        if self.automatic and self.frame_step is not None:
            raise ValueError("automatic and frame_step exclude each other: the order names the frames")
        if self.min_edge > min(self.max_long_edge or self.min_edge, self.max_short_edge or self.min_edge):
            raise ValueError("min_edge should not be above max_short_edge or max_long_edge")
        return self

    @property
    def spare_frames(self) -> int:
        """More frames than expected that may be charged: of audio or video, the provider counts them itself."""
        return 0 if self.price.usd_per_megapixel is None or self.bills == "output" else self.frame_step or 1


class ProviderSpec(StrictModel):
    """All that is known of one provider.

    `name` is the file's name, `rank` its place in `auto` at equal price. `url_beside` are addresses that orders do not
    need, by the address they belong to: if that is not the default one, they count only if they are set themselves.
    `upload_lives_s` and `film_lives_s` are how many seconds uploads and results are kept at least. `film_hosts` are the
    origins a page may load results from without a key, and `film_url` is one of them, which the doctor requests.
    `key_form` and `key_page`: what keys look like, and where they are made. `webhook`: how it tells by itself that an
    order has ended. `slots`: how many orders an account, or
    with `repeatable` (nothing is ordered) this machine, may have in flight; None: any.
    """

    name: Name
    title: Name
    rank: Annotated[int, NUMBER, Field(ge=-1_000_000, le=1_000_000)] = 100
    key_env: tuple[str, ...] = ()
    key_form: KeyFormat | None = Field(default=None, exclude=True)  # only the doctor needs it
    key_page: str = Field(default="", exclude=True)
    webhook: WebhookSpec | None = Field(default=None, exclude=True)
    url_env: dict[str, str] = Field(default_factory=dict)
    url_default: dict[str, str] = Field(default_factory=dict)
    url_beside: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Option] = Field(default_factory=dict)
    poll: PollInterval = PollInterval()
    upload_lives_s: Lifetime | None = None
    film_lives_s: Lifetime | None = None
    film_hosts: tuple[Origin, ...] = ()
    film_url: str = Field(default="", exclude=True)
    is_preview: bool = False
    repeatable: bool = False
    slots: Annotated[int, NUMBER, Field(ge=1, le=10_000)] | None = None
    failure_is_free: bool = False
    give_up_after_s: Lifetime = 3600
    usd_per_credit: Annotated[Amount, Field(gt=0)] | None = None
    inputs: dict[Kind, InputSpec] = Field(default_factory=dict)
    offer: tuple[OfferSpec, ...] = ()

    @model_validator(mode="after")
    def _check_provider(self) -> "ProviderSpec":
        if self.webhook is not None and self.webhook.keys_url not in self.url_env:
            raise ValueError(f"webhook.keys_url should be one of {', '.join(self.url_env)}")
        for row in self.offer:
            for role in row.media:
                if (kind := "image" if role == "end_image" else role) not in self.inputs:
                    raise ValueError(f"offer {row.model} {row.operation} takes {role}, and inputs has no {kind}")
        return self
