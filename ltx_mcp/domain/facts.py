"""The form of `providers/*.toml`: what can be ordered, from whom, within which limits, at what price.

Read from outside, so pydantic; a wrong file is refused at start with the field's name.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ltx_mcp.domain.arguments import AspectRatio, CameraMotion, Operation, Resolution

Way = Literal["upload", "url", "data", "part", "file"]
"""How a provider takes a medium: its upload call, a public URL, a data URI, a multipart file, a path on this disk."""


class Facts(BaseModel):
    """Frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Facts):
    """Every number from `low` to `high`; with `step`, only those a whole number of steps above `low`."""

    low: Decimal = Field(alias="from")
    high: Decimal = Field(alias="to")
    step: Decimal | None = None

    def nearest(self, asked: Decimal) -> Decimal:
        """The admitted number closest to `asked`."""
        inside = min(max(asked, self.low), self.high)
        if self.step is None:
            return inside
        steps = ((inside - self.low) / self.step).to_integral_value()
        return min(self.low + steps * self.step, self.high)

    @property
    def shortest(self) -> Decimal:
        """The smallest admitted number."""
        return self.low

    @property
    def longest(self) -> Decimal:
        """The largest admitted number."""
        return self.nearest(self.high)

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step else "")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class Choice(Facts):
    """One of a list of numbers."""

    values: tuple[Decimal, ...] = Field(min_length=1)

    def nearest(self, asked: Decimal) -> Decimal:
        """The admitted number closest to `asked`; the smaller of two equally close ones."""
        return min(self.values, key=lambda value: (abs(value - asked), value))

    @property
    def shortest(self) -> Decimal:
        """The smallest admitted number."""
        return min(self.values)

    @property
    def longest(self) -> Decimal:
        """The largest admitted number."""
        return max(self.values)

    def __str__(self) -> str:
        return ", ".join(format(value, "f") for value in self.values)


def _to_numbers(value: Any) -> Any:
    return value if isinstance(value, dict | Span | Choice) else {"values": _as_list(value)}


Numbers = Annotated[Span | Choice, BeforeValidator(_to_numbers)]


class Limit(Facts):
    """One row of an offer's matrix: a request is admitted when some row admits all three. Without rates or resolutions
    the film has those of the given video."""

    duration: Numbers
    fps: tuple[int, ...] = ()
    resolution: tuple[Resolution, ...] = ()


class PixelTier(Facts):
    """USD per second for pictures of at most `up_to` pixels; without `up_to`, for all larger ones."""

    usd_per_second: Decimal
    up_to: int | None = None


class Price(Facts):
    """What a second costs, by resolution label or by pixel count; `as_of` and `source` go with every figure."""

    as_of: date
    source: str
    usd_per_second: dict[Resolution, Decimal] = Field(default_factory=dict)
    pixel_tiers: tuple[PixelTier, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_price(self) -> "Price":
        if bool(self.usd_per_second) == bool(self.pixel_tiers):
            raise ValueError("give either usd_per_second or pixel_tiers")
        return self


class InputRule(Facts):
    """What a provider accepts as one kind of medium (image, video, audio), and by which ways, the best first. A picture
    is named by its format, a video or a sound by `container/codec`."""

    accepts: tuple[str, ...]
    ways: tuple[Way, ...] = Field(min_length=1)
    max_bytes: int | None = None


class MediumLimit(Facts):
    """What an offer asks of a medium it is given, beyond its form: `duration` in seconds, edges in pixels as seen."""

    duration: Span | None = None
    min_frames: int | None = None
    max_long_edge: int | None = None
    max_short_edge: int | None = None
    max_bytes: int | None = None
    aspect_ratio: tuple[AspectRatio, ...] = ()


class Pace(Facts):
    """How often an order is asked after: every `first_s`, then `factor` times longer each time, up to `most_s`.

    `jitter` is the part that chance may add, so that many orders are not asked after in step.
    """

    first_s: float = 5
    factor: float = Field(default=1, ge=1)
    most_s: float = 5
    jitter: float = 0.2


class Option(Facts):
    """A setting of one provider with a few possible values, the default first."""

    env: str
    values: tuple[str, ...] = Field(min_length=1)
    meaning: str


class KeyForm(Facts):
    """What a key looks like, where that is told: `pattern` is a regular expression, `words` say it to a person."""

    pattern: str
    words: str
    as_of: date
    source: str


class OfferFacts(Facts):
    """One thing that can be ordered: a model doing an operation.

    `bills`: what a second of is paid for. `automatic`: the provider can choose the length by itself. `media_limits` by
    role. `context` are the seconds of the given video an extension may look at, `context_frames` the most frames of
    them and of the new part together. `start_time` are the seconds at which a retake may begin. `film_short_edge` is
    the size the film has whatever the video's, where the provider scales it.
    """

    model: str
    operation: Operation
    endpoint: str
    limits: tuple[Limit, ...] = Field(min_length=1)
    aspect_ratio: tuple[AspectRatio, ...] = Field(min_length=1)
    price: Price
    bills: Literal["output", "input", "new+context"] = "output"
    camera_motion: tuple[CameraMotion, ...] = ("none",)
    generate_audio: tuple[bool, ...] = (True, False)
    automatic: bool = False
    media: tuple[str, ...] = ()
    media_limits: dict[str, MediumLimit] = Field(default_factory=dict)
    needs_prompt: bool = False
    modes: tuple[str, ...] = ()
    context: Span | None = None
    context_frames: int | None = None
    start_time: Span | None = None
    film_short_edge: int | None = None
    min_edge: int = 1
    max_long_edge: int | None = None
    max_short_edge: int | None = None


class ProviderFacts(Facts):
    """All that is known of one provider. `name` is the file's name; `rank` its place in `auto` at equal price;
    `upload_lives_s` and `film_lives_s` how long what lies there can be relied on, in seconds; `film_hosts` the origins
    a page may load films from without a key; `key_form` what its keys look like, and `key_page` where they are made,
    where that is told; `slots` how many orders an account may have under way, or where nothing is ordered
    (`repeatable`) a machine; None: any."""

    name: str
    title: str
    rank: int = 100
    key_env: tuple[str, ...] = ()
    key_form: KeyForm | None = Field(default=None, exclude=True)  # for the doctor, not for who orders
    key_page: str = Field(default="", exclude=True)
    url_env: dict[str, str] = Field(default_factory=dict)
    url_default: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Option] = Field(default_factory=dict)
    poll: Pace = Pace()
    upload_lives_s: int | None = None
    film_lives_s: int | None = None
    film_hosts: tuple[str, ...] = ()
    is_preview: bool = False
    repeatable: bool = False
    slots: int | None = None
    failure_is_free: bool = False
    give_up_after_s: int = 3600
    usd_per_credit: Decimal | None = None
    inputs: dict[str, InputRule] = Field(default_factory=dict)
    offer: tuple[OfferFacts, ...] = ()
