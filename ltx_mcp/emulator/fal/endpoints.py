"""Every model the emulated fal.ai has, what its price call says about each, and how an order's body is read."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ltx_mcp.emulator.edits import EmulatedEdit
from ltx_mcp.emulator.fal.errors import model_error
from ltx_mcp.emulator.fal.inputs import (
    AudioToVideo,
    FalExtendVideo,
    FalInput,
    FalReframeVideo,
    FalRetakeVideo,
    ImageToVideo,
    ImageToVideoFast,
    TextToVideo,
    TextToVideoFast,
)
from ltx_mcp.emulator.fal.ltx25 import (
    AudioToVideo25,
    AudioToVideo25Pro,
    ImageToVideo25,
    ImageToVideo25Pro,
    TextToVideo25,
    TextToVideo25Pro,
)
from ltx_mcp.emulator.fal.media import Find, find_media
from ltx_mcp.emulator.fal.open_weights import OpenAudioToVideo, OpenImageToVideo, OpenTextToVideo
from ltx_mcp.emulator.inputs import Inputs
from ltx_mcp.emulator.wire import RequestRefused


@dataclass(frozen=True)
class Endpoint:
    """One model, and what fal's price call says: USD for a unit, of the smallest size where it is a second."""

    model: type[FalInput]
    unit_price: float
    unit: str = "second"


CENT = (0.01, "unit")
"""LTX-2.5 is counted in cents; how the call names them is not known."""
MEGAPIXEL = (0.001605, "megapixel")

ENDPOINTS = {
    "fal-ai/ltx-2.3/text-to-video": Endpoint(TextToVideo, 0.08),
    "fal-ai/ltx-2.3/text-to-video/fast": Endpoint(TextToVideoFast, 0.04),
    "fal-ai/ltx-2.3/image-to-video": Endpoint(ImageToVideo, 0.06),
    "fal-ai/ltx-2.3/image-to-video/fast": Endpoint(ImageToVideoFast, 0.06),
    "fal-ai/ltx-2.3/audio-to-video": Endpoint(AudioToVideo, 0.10),
    "fal-ai/ltx-2.3/extend-video": Endpoint(FalExtendVideo, 0.10),
    "fal-ai/ltx-2.3/retake-video": Endpoint(FalRetakeVideo, 0.10),
    "fal-ai/ltx-2.3/reframe": Endpoint(FalReframeVideo, 0.10),
    "lightricks/ltx-2.5/text-to-video/fast": Endpoint(TextToVideo25, *CENT),
    "lightricks/ltx-2.5/text-to-video/pro": Endpoint(TextToVideo25Pro, *CENT),
    "lightricks/ltx-2.5/image-to-video/fast": Endpoint(ImageToVideo25, *CENT),
    "lightricks/ltx-2.5/image-to-video/pro": Endpoint(ImageToVideo25Pro, *CENT),
    "lightricks/ltx-2.5/audio-to-video/fast": Endpoint(AudioToVideo25, *CENT),
    "lightricks/ltx-2.5/audio-to-video/pro": Endpoint(AudioToVideo25Pro, *CENT),
    "fal-ai/ltx-2.3-22b/text-to-video": Endpoint(OpenTextToVideo, *MEGAPIXEL),
    "fal-ai/ltx-2.3-22b/image-to-video": Endpoint(OpenImageToVideo, *MEGAPIXEL),
    "fal-ai/ltx-2.3-22b/audio-to-video": Endpoint(OpenAudioToVideo, *MEGAPIXEL),
}
OWNERS = tuple(dict.fromkeys(name.partition("/")[0] for name in ENDPOINTS))


async def read_order(endpoint: Endpoint, body: Any, find: Find, inputs: Inputs) -> EmulatedEdit:
    """What a body asks for. Raises RequestRefused with the model's own list of what is wrong."""
    given = await find_media(body, endpoint.model.model_fields, find, inputs)
    try:
        return endpoint.model.model_validate(body, context=given).to_edit(given)
    except ValidationError as error:
        raise RequestRefused(model_error([_detail(each) for each in error.errors(include_url=False)])) from error


def _detail(error: ErrorDetails) -> dict[str, Any]:
    detail: dict[str, Any] = {"msg": error["msg"], "type": error["type"], "input": error["input"]}
    return {"loc": ["body", *error["loc"]]} | detail | ({"ctx": error["ctx"]} if "ctx" in error else {})
