"""How a video can be continued and what that costs: suggestions of the player, the results and the terminal; pure.

An extension is suggested with the shortest context that joins well; without `context` a call uses all of the video,
which can cost twice as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ltx_mcp.domain.arguments import AnimateImage, ExtendVideo, PaidArguments, RetakeVideo
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.job import Job, State, input_of
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import Input, to_request

ADDED_S, REDONE_S = 5, 2
"""Seconds that are suggested to add or redo."""
CONTEXT_S = 2
"""Seconds of context that show a model all motion; providers require one at least."""
ANY_PROMPT = "what happens then"


@dataclass(frozen=True)
class Suggestion:
    """A paid tool with its arguments, and the offer it would order first."""

    arguments: PaidArguments
    offer: Offer

    @property
    def given(self) -> dict[str, Any]:
        """The arguments that are not defaults."""
        return self.arguments.model_dump(mode="json", exclude_defaults=True)

    @property
    def price(self) -> str:
        """For a person: `0.24 USD, at most 0.36`."""
        return self.offer.price


@dataclass(frozen=True)
class Longer:
    """An extension; `with_full_context` is the same with as much context as fits, if that costs more."""

    priced: Suggestion
    with_full_context: Suggestion | None

    @property
    def context(self) -> float:
        """The `context` argument; 0 if it is not needed."""
        return float(self.priced.given.get("context", 0))

    @property
    def price(self) -> str:
        """Both prices: `0.70 USD (1.10 USD with 6 s of context, taken where none is named)`."""
        if self.with_full_context is None:
            return self.priced.price
        offer = self.with_full_context.offer
        context = f"{offer.billed - offer.duration:f} s of context, taken where none is named"
        return f"{self.priced.price} ({offer.price} with {context})"


def priced(
    model: type[PaidArguments], values: dict[str, Any], inputs: Sequence[Input], catalog: Catalog
) -> Suggestion | None:
    """What these arguments would order now; None if nobody offers it."""
    try:
        arguments = model(**values)
        return Suggestion(arguments, select_offers(to_request(arguments), inputs, catalog)[0])
    except (LtxError, ValidationError):
        return None


def longer(video: Input, catalog: Catalog, **values: Any) -> Longer | None:
    """An extension of a job's video with the shortest context that joins well; `values` are further arguments."""
    values = {"video": video.job_id, "duration": ADDED_S} | values
    full = priced(ExtendVideo, values, (video,), catalog)
    short = priced(ExtendVideo, values | {"context": CONTEXT_S}, (video,), catalog)
    if short is None or (full is not None and full.offer.at_most_usd <= short.offer.at_most_usd):
        return None if full is None else Longer(full, None)
    return Longer(short, full)


def redone(video: Input, catalog: Catalog) -> Suggestion | None:
    """A retake of a section of a job's video."""
    values = {"video": video.job_id, "start_time": 0, "duration": REDONE_S, "prompt": ANY_PROMPT}
    return priced(RetakeVideo, values, (video,), catalog)


def next_shot(last: Input, catalog: Catalog) -> Suggestion | None:
    """A video that begins with the last frame of a job's."""
    values = {"image": f"{last.job_id}#{last.frame_position}", "prompt": ANY_PROMPT}
    return priced(AnimateImage, values, (last,), catalog)


def continuation_text(job: Job, catalog: Catalog) -> str:
    """How a job's video is continued, as calls of tools with prices; empty if there is no video."""
    if job.state is not State.SUCCEEDED or job.film is None:
        return ""
    name, video, last, options = job.take_name or job.id, input_of(job, "video"), input_of(job, "image", "last"), []
    if more := longer(video, catalog):
        context = f", context={more.context:g}" if more.context else ""
        options.append(f"extend_video(video={name}, duration={ADDED_S}{context}) lengthens it for {more.price}")
    if shot := next_shot(last, catalog):
        frame = f"{name}#{last.frame_position}"
        options.append(f"animate_image(image={frame}) goes on with a shot of {shot.offer.length:f} s for {shot.price}")
    return "; ".join(options)
