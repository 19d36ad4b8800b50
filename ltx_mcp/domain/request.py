"""The one record that the arguments of every ordering tool become, and its inputs."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, get_args

from ltx_mcp.domain.argument_types import (
    Adjust,
    AspectRatio,
    CameraMotion,
    Operation,
    Resolution,
    RetakeMode,
    VideoMode,
)
from ltx_mcp.domain.arguments import OPERATIONS, EstimateCost, JoinVideos, OrderArguments
from ltx_mcp.domain.join import JoinSettings

MediaKind = Literal["image", "video", "audio"]
EDITS: frozenset[Operation] = frozenset({"extend", "retake"})
"""Operations whose result has the size and rate of the input video."""
FROM_VIDEO: frozenset[Operation] = EDITS | {"reframe", "join"}
"""Operations on given videos; their rate is that of the result."""
MIN_ASSUMED_S = 4.0
"""A video to extend is at least this long: providers require 73 frames."""
PREVIEW_PROVIDER = "local"
MEDIA_ROLES = ("audio", "video", "image", "end_image")


@dataclass(frozen=True)
class Request:
    """What is asked for, whichever tool asked. `max_cost_usd` None is no cap; `prompt` None is any, as in an estimate.

    `duration` in seconds is that of the result, an extension's new part or a retake's section; None: that of the audio,
    of the video to reframe, or else the provider's choice. `resolution` None and `fps` 0: those of the input video.
    `takes` is how many such videos; `seed` is that of the first, None is the provider's own.
    """

    operation: Operation
    prompt: str | None
    duration: Decimal | None
    resolution: Resolution | None
    aspect_ratio: AspectRatio | Literal["auto"]
    fps: int
    generate_audio: bool
    camera_motion: CameraMotion
    provider: str
    model: str
    adjust: Adjust
    max_cost_usd: Decimal | None
    mode: str = ""
    start_time: Decimal | None = None
    context: Decimal | None = None
    takes: int = 1
    seed: int | None = None
    join: JoinSettings | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether the provider is to choose the length."""
        return self.duration is None and self.operation not in ("audio_to_video", "reframe", "join")


MAX_SHORT_EDGE = 3840
"""Pixels of a converted image's short edge: the largest output cannot show more, however the image is cropped."""


@dataclass(frozen=True)
class Input:
    """One media file of a request: bytes we have (`sha256`), or another job's video or frame, which may not exist yet.

    Of a video that is joined with others, only the section from `start` to `end` in seconds is used; `end` None: to its
    end. `continues`: it was made from the last frame of the video before; None: not known. `is_preview`: drawn here.

    `width` and `height` are pixels as shown, and `exif_rotated`: only by its EXIF. `format` is that of an image or the
    container, `codec` that of the relevant stream, `duration` in seconds; `doubt` and `traits` as in MediaInfo. For a
    job that is still running they are what it ordered, and format and codec are empty.
    """

    role: str
    sha256: str = ""
    format: str = ""
    size_bytes: int = 0
    width: int = 0
    height: int = 0
    exif_rotated: bool = False
    job_id: str = ""
    frame_position: str = ""
    codec: str = ""
    duration: float = 0.0
    fps: float = 0.0
    frames: int = 0
    has_audio: bool = False
    doubt: str = ""
    traits: tuple[str, ...] = ()
    start: float = 0.0
    end: float | None = None
    continues: bool | None = None
    is_preview: bool = False

    @property
    def identity(self) -> str:
        """Equal for the same section of the same bytes, or of the same job, or for its same frame."""
        own = f"job:{self.job_id}#{self.frame_position}" if self.job_id else f"sha256:{self.sha256}"
        return own + self.section

    @property
    def section(self) -> str:
        """The section that is used, as callers write it: `@1.5-4`; empty for all of it."""
        if not self.start and self.end is None:
            return ""
        return f"@{self.start:g}-" + (f"{self.end:g}" if self.end is not None else "")

    @property
    def section_s(self) -> float:
        """How long the section is that is used."""
        return (self.duration if self.end is None else self.end) - self.start

    def measured(self, read: "Input") -> "Input":
        """What was `read` of its file, in place of what was expected; where it is from, and how it is used, stay."""
        return replace(
            read,
            job_id=self.job_id,
            frame_position=self.frame_position,
            start=self.start,
            end=self.end,
            continues=self.continues,
            is_preview=self.is_preview,
        )

    @property
    def kind(self) -> MediaKind:
        """image, video or audio."""
        return kind_of(self.role)

    @property
    def form(self) -> str:
        """The format as catalogs name it; empty if it is not known yet."""
        return f"{self.format}/{self.codec}" if self.codec else self.format

    @property
    def seconds(self) -> Decimal:
        """The duration of video or audio."""
        return to_decimal(self.duration)

    @property
    def duration_text(self) -> str:
        """The duration in words, with what contradicts it."""
        return f"lasts {self.seconds:f} s" + (f" ({self.doubt})" if self.doubt else "")

    @property
    def converted_size(self) -> tuple[int, int]:
        """Width and height of an image after conversion."""
        short = min(self.width, self.height)
        if short <= MAX_SHORT_EDGE:
            return self.width, self.height
        return round(self.width * MAX_SHORT_EDGE / short), round(self.height * MAX_SHORT_EDGE / short)


def kind_of(role: str) -> MediaKind:
    """The kind of media of a role."""
    role = family_of(role)
    return "video" if role == "video" else "audio" if role == "audio" else "image"


_NUMBERED = re.compile(r"video[1-9][0-9]?")


def family_of(role: str) -> str:
    """The role as catalogs name it: videos that are joined are `video1`, `video2` and so on."""
    return "video" if _NUMBERED.fullmatch(role) else role


def argument_of(role: str) -> str:
    """The argument that a role is given in."""
    return "videos" if _NUMBERED.fullmatch(role) else role


def find_input(inputs: Sequence[Input], role: str) -> Input | None:
    """The input of this role, if there is one."""
    return next((given for given in inputs if given.role == role), None)


def to_decimal(number: float) -> Decimal:
    """The decimal a person would read: 6 for 6.0, 7.5 for 7.5."""
    exact = Decimal(repr(number))
    return exact.to_integral_value() if exact == exact.to_integral_value() else exact.normalize()


def to_request(arguments: OrderArguments | EstimateCost) -> Request:
    """The request of a tool's arguments, or of an estimate."""
    if isinstance(arguments, JoinVideos):
        return _to_join(arguments)
    given: Mapping[str, Any] = vars(arguments)
    is_estimate = isinstance(arguments, EstimateCost)
    operation: Any = arguments.operation if isinstance(arguments, EstimateCost) else OPERATIONS[type(arguments)]
    is_edit, is_of_video, cap = operation in EDITS, operation in FROM_VIDEO, given.get("max_cost_usd")
    return Request(
        operation=operation,
        prompt=None if is_estimate else given.get("prompt", ""),
        duration=_length(operation, given, is_estimate=is_estimate),
        resolution=None if is_edit else given["resolution"],
        aspect_ratio="auto" if is_edit else given["aspect_ratio"],
        fps=0 if is_of_video else given["fps"],
        generate_audio=given.get("generate_audio", True) or operation in (*FROM_VIDEO, "audio_to_video"),
        camera_motion="none" if is_of_video else given["camera_motion"],
        provider=arguments.provider,
        model=arguments.model,
        adjust=given.get("adjust", "never"),
        max_cost_usd=None if cap is None else to_decimal(cap),
        mode=given.get("mode", "") or _FIRST_MODE.get(operation, ""),
        start_time=to_decimal(given.get("start_time", 0)) if operation == "retake" else None,
        context=to_decimal(given["context"]) if operation == "extend" else None,
        takes=given.get("takes", 1),
        seed=given.get("seed"),
    )


def _to_join(arguments: JoinVideos) -> Request:
    """Nothing of it is ordered anywhere: it is joined on this machine."""
    is_cut = arguments.transition == "cut"
    settings = JoinSettings(
        arguments.transition,
        Decimal() if is_cut else to_decimal(arguments.transition_seconds),
        to_decimal(arguments.audio_level) if arguments.audio else None,
        arguments.captions.strip() and arguments.captions,
        arguments.burn_captions,
        tuple(arguments.titles),
    )
    return Request(
        operation="join",
        prompt=" / ".join(filter(None, arguments.titles)),
        duration=None,
        resolution=arguments.resolution or None,
        aspect_ratio=arguments.aspect_ratio or "auto",
        fps=arguments.fps,
        generate_audio=True,
        camera_motion="none",
        provider=PREVIEW_PROVIDER,
        model="auto",
        adjust="never",
        max_cost_usd=None,
        join=settings,
    )


_FIRST_MODE: dict[str, str] = {"extend": get_args(VideoMode)[0], "retake": get_args(RetakeMode)[0]}
SHORTEST_SECTION_S = Decimal(2)


def _length(operation: str, given: Mapping[str, Any], *, is_estimate: bool) -> Decimal | None:
    """None for automatic, or as long as the audio or the video. An estimate's `duration` is that of a retake's complete
    video."""
    if operation in ("audio_to_video", "reframe") or given["duration"] == "auto":
        return None
    return SHORTEST_SECTION_S if is_estimate and operation == "retake" else to_decimal(given["duration"])


def media_arguments(arguments: OrderArguments | EstimateCost) -> dict[str, str]:
    """The media of a request by role, in the order in which they are read."""
    if isinstance(arguments, JoinVideos):
        numbered = {f"video{number}": video for number, video in enumerate(arguments.videos, 1)}
        return numbered | ({"audio": arguments.audio} if arguments.audio else {})
    return {role: getattr(arguments, role) for role in MEDIA_ROLES if getattr(arguments, role, "")}


def assumed_s(arguments: EstimateCost) -> float | None:
    """The duration that an estimate assumes for audio or video it was not given: `duration`, and for an extension at
    least its context and what providers require; None if nothing must be assumed."""
    given = arguments.audio if arguments.operation == "audio_to_video" else arguments.video
    is_of_medium = arguments.operation in (*FROM_VIDEO, "audio_to_video")
    if arguments.duration == "auto" or given or not is_of_medium:
        return None
    return max(arguments.duration, *((arguments.context, MIN_ASSUMED_S) if arguments.operation == "extend" else (0,)))


_ADDED_LATER = {"mode": "", "start_time": None, "context": None, "takes": 1, "seed": None, "join": None}
"""Fields that the canonical form leaves out at this value, so that stored forms of older versions stay equal; every new
field of Request belongs here."""


def canonical_form(request: Request, inputs: Sequence[Input]) -> dict[str, str]:
    """Equal for the same request: every argument but the cap, media by their identity."""
    fields = {
        name: format(value, "f") if isinstance(value, Decimal) else str(value)
        for name, value in vars(request).items()
        if name not in ("max_cost_usd", "join") and not (name in _ADDED_LATER and value == _ADDED_LATER[name])
    }
    settings = request.join.canonical if request.join else {}
    return fields | settings | {given.role: given.identity for given in inputs}


def fingerprint(canonical: dict[str, str]) -> str:
    """A short name for a canonical form; equal exactly if the forms are."""
    text = json.dumps(canonical, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
