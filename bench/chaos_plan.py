"""What a chaos run asks for and what it breaks, drawn from its seed before it begins."""

import random
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image

PICTURES = 4
KEYED, TWICE, CANCELLED, FOLLOWED, PICTURED = 0.6, 0.15, 0.12, 0.3, 0.4
AT_ORDER, ELSEWHERE = 0.25, 0.6
HEADROOM = Decimal("0.82")
"""The day's budget, as a part of what all requests together would cost."""
CANCEL_WITHIN_S = 2.0

# what is asked of each provider, and what it costs from text and from a picture; more may be held for it at first
SHAPES: dict[str, tuple[dict[str, Any], str, str]] = {
    "fal": ({"generate_audio": False}, "0.24", "0.36"),
    "ltx": ({"resolution": "720p"}, "0.18", "0.18"),
    "netwrck": ({}, "0.29", "0.29"),
    "bytecompute": ({"resolution": "720p", "duration": 4}, "0.08", "0.08"),
    "auto": ({"max_cost_usd": 1}, "0.24", "0.24"),
}
Broken = tuple[str, dict[str, Any]]
CUT: tuple[Broken, ...] = (
    ("drop_before", {}),
    ("drop_after", {}),
    ("cut", {}),
    ("truncated", {}),
    ("html", {}),
    ("html_after", {}),
    ("wrong_type", {}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 429, "retry_after": 1}),
    ("status", {"status": 429}),
    ("delay", {"seconds": 1.5}),
    ("delay", {"seconds": 4}),
)
REFUSED: tuple[Broken, ...] = (("locked", {}), ("content", {}), ("refuse", {}))
ENDS: tuple[Broken, ...] = (("fails", {}), ("content", {}))
STEPS: dict[str, tuple[str, ...]] = {
    "fal": ("poll", "stream", "stream", "result", "upload", "put", "cancel"),
    "ltx": ("poll", "poll", "upload", "put"),
    "netwrck": ("poll",),
    "bytecompute": ("poll", "download"),
    "media": ("download", "download"),
}


@dataclass(frozen=True)
class Break:
    """One fault: where, which, how."""

    provider: str
    step: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Wish:
    """One request, when it is made in seconds from the start, what its caller does then, and what breaks meanwhile.

    `twice`: it is called two times at once, which must give one job.
    """

    at_s: float
    tool: str
    arguments: Mapping[str, Any]
    price: Decimal
    cancel_after_s: float | None
    follows: bool
    twice: bool
    breaks: Sequence[Break] = field(default=())


def draw_pictures(folder: Path) -> list[Path]:
    """A few small pictures to animate."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(PICTURES):
        picture = Image.linear_gradient("L").resize((1280, 720)).convert("RGB")
        picture.paste((60 * number, 90, 200 - 40 * number), (400, 200, 880, 520))
        picture.save(path := folder / f"picture-{number}.jpg", quality=85)
        paths.append(path)
    return paths


def to_data(picture: Path) -> str:
    """The same as a data URI, for servers that take no path."""
    return f"data:image/jpeg;base64,{b64encode(picture.read_bytes()).decode()}"


def make_wishes(rng: random.Random, jobs: int, seconds: float, pictures: Sequence[str]) -> list[Wish]:
    """All requests of a run, spread over its time, each with words of its own. `pictures` as an argument names them."""
    times = sorted(rng.uniform(0, seconds) for _ in range(jobs))
    return [_make_wish(rng, number, at_s, pictures) for number, at_s in enumerate(times)]


def budget_of(wishes: Sequence[Wish]) -> Decimal:
    """A day's budget that is a little too small for all of them."""
    return (sum((wish.price for wish in wishes), Decimal()) * HEADROOM).quantize(Decimal("0.01"))


def _make_wish(rng: random.Random, number: int, at_s: float, pictures: Sequence[str]) -> Wish:
    provider = rng.choice(list(SHAPES))
    shape, from_text, from_picture = SHAPES[provider]
    arguments: dict[str, Any] = {"prompt": f"Shot {number}: a lighthouse at dusk", "provider": provider, **shape}
    pictured = rng.random() < PICTURED
    if pictured:
        arguments["image"] = rng.choice(pictures)
    if rng.random() < KEYED:
        arguments["request_key"] = f"shot-{number}"
    cancel = rng.uniform(0, CANCEL_WITHIN_S) if rng.random() < CANCELLED else None
    tool, price = ("animate_image", from_picture) if pictured else ("generate_video", from_text)
    follows, twice = rng.random() < FOLLOWED, rng.random() < TWICE
    return Wish(at_s, tool, arguments, Decimal(price), cancel, follows, twice, _make_breaks(rng, provider))


def _make_breaks(rng: random.Random, provider: str) -> list[Break]:
    """What goes wrong about the time of one request: mostly at its own provider, to whoever comes first."""
    at = provider if provider in STEPS else rng.choice([name for name in STEPS if name != "media"])
    breaks = []
    if rng.random() < AT_ORDER:
        kind, options = rng.choice(CUT if rng.random() < 0.85 else REFUSED)
        breaks.append(Break(at, "submit", kind, options))
    if rng.random() < ELSEWHERE:
        place = rng.choice([at, at, "media"])
        kind, options = rng.choice(CUT)
        breaks.append(Break(place, rng.choice(STEPS[place]), kind, options))
    if rng.random() < 0.03:
        kind, options = rng.choice(ENDS)
        breaks.append(Break(at, "order", kind, options))
    return breaks
