"""What can be made of a film next, and what each of it costs: what the player, the answers and the terminal suggest.

Pure. An extension is suggested with the least context that joins well; looking at all of the film can cost twice as
much, which is what a call without `context` does.
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
"""How much is suggested to add or to redo."""
CONTEXT_S = 2
"""Seconds of context that show a model where everything moves to; providers take one at least."""
ANY_PROMPT = "what happens then"


@dataclass(frozen=True)
class Suggestion:
    """A paid tool with its arguments, and the offer it would order first."""

    arguments: PaidArguments
    offer: Offer

    @property
    def given(self) -> dict[str, Any]:
        """The arguments that are not their defaults."""
        return self.arguments.model_dump(mode="json", exclude_defaults=True)

    @property
    def price(self) -> str:
        """For a person: `0.24 USD, at most 0.36`."""
        return self.offer.price


@dataclass(frozen=True)
class Longer:
    """A film made longer; `whole` is the same with as much of it for context as fits, where that costs more."""

    priced: Suggestion
    with_full_context: Suggestion | None

    @property
    def context(self) -> float:
        """As it is to be given; 0 where it need not be."""
        return float(self.priced.given.get("context", 0))

    @property
    def price(self) -> str:
        """Both: `0.70 USD (1.10 USD with 6 s of context, taken where none is named)`."""
        if self.with_full_context is None:
            return self.priced.price
        offer = self.with_full_context.offer
        context = f"{offer.billed - offer.duration:f} s of context, taken where none is named"
        return f"{self.priced.price} ({offer.price} with {context})"


def priced(
    model: type[PaidArguments], values: dict[str, Any], inputs: Sequence[Input], catalog: Catalog
) -> Suggestion | None:
    """What these arguments would order now; None where nobody offers it."""
    try:
        arguments = model(**values)
        return Suggestion(arguments, select_offers(to_request(arguments), inputs, catalog)[0])
    except (LtxError, ValidationError):
        return None


def longer(video: Input, catalog: Catalog, **values: Any) -> Longer | None:
    """The film of a job made longer, with the least context that joins well; `values` are further arguments."""
    values = {"video": video.job_id, "duration": ADDED_S} | values
    with_full_context = priced(ExtendVideo, values, (video,), catalog)
    short = priced(ExtendVideo, values | {"context": CONTEXT_S}, (video,), catalog)
    if short is None or (
        with_full_context is not None and with_full_context.offer.at_most_usd <= short.offer.at_most_usd
    ):
        return None if with_full_context is None else Longer(with_full_context, None)
    return Longer(short, with_full_context)


def redone(video: Input, catalog: Catalog) -> Suggestion | None:
    """A section of the film of a job made anew."""
    values = {"video": video.job_id, "start_time": 0, "duration": REDONE_S, "prompt": ANY_PROMPT}
    return priced(RetakeVideo, values, (video,), catalog)


def next_shot(last: Input, catalog: Catalog) -> Suggestion | None:
    """A shot that begins with the last frame of a job."""
    values = {"image": f"{last.job_id}#{last.frame_position}", "prompt": ANY_PROMPT}
    return priced(AnimateImage, values, (last,), catalog)


def continuation_text(job: Job, catalog: Catalog) -> str:
    """How the film of a job is continued, in the arguments of the tools, with what that costs; empty without one."""
    if job.state is not State.SUCCEEDED or job.film is None:
        return ""
    video, last, options = input_of(job, "video"), input_of(job, "image", "last"), []
    if more := longer(video, catalog):
        context = f", context={more.context:g}" if more.context else ""
        options.append(f"extend_video(video={video.job_id}, duration={ADDED_S}{context}) lengthens it for {more.price}")
    if shot := next_shot(last, catalog):
        of = f"{last.job_id}#{last.frame_position}"
        options.append(f"animate_image(image={of}) goes on with a shot of {shot.offer.length:f} s for {shot.price}")
    return "; ".join(options)
