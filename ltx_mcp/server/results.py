"""Results of the tools: a short text, the structure, and images; of an error its code and a sentence."""

import base64
from typing import TYPE_CHECKING, Any

from mcp.types import CallToolResult, ImageContent, InputRequiredResult, TextContent

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.presentation.result_models import ResultModel
from ltx_mcp.presentation.result_text import failure_text, ref_text, take_text
from ltx_mcp.server.app_context import AppContext

if TYPE_CHECKING:
    from ltx_mcp.jobs.keeping import ShownImage

ToolResult = CallToolResult | InputRequiredResult
JOB = "ltx-mcp/job"
"""The name in `_meta`, beside an image, of what other results have as their structure."""


def make_result(
    text: str, structure: ResultModel, image: "ShownImage | None" = None, *, meta: dict[str, Any] | None = None
) -> CallToolResult:
    """The result of a call that succeeded; `meta` is for programs and the host's page, not for the model.

    Hosts that show their model a structure show it nothing else, and not all of them can be recognized: beside an image
    the structure goes into `meta`.
    """
    text_content = TextContent(type="text", text=text)
    if image is None:
        return CallToolResult(content=[text_content], structured_content=structure.to_wire(), _meta=meta)
    data = base64.b64encode(image.data).decode()
    image_content = ImageContent(type="image", data=data, mime_type=image.mime_type)
    return CallToolResult(content=[text_content, image_content], _meta={JOB: structure.to_wire()} | (meta or {}))


async def job_result(app_context: AppContext, found: Job | JobSet, *, fresh: bool = True) -> CallToolResult:
    """The short form of a job or a set. One that failed, or was cancelled because of an error, is an isError."""
    ref = await app_context.ref(found, fresh=fresh)
    if found.state in (State.FAILED, State.CANCELLED) and ref.error is not None:
        takes = "".join(f"\n{take_text(take)}" for take in ref.takes or ())
        sentence = f"{ref.job_id} {ref.state}. {failure_text(ref)} {ref.next}{takes}"
        return error_result(ErrorCode(ref.error.code), sentence, ref.to_wire())
    return make_result(ref_text(ref), ref)


def error_result(code: ErrorCode, sentence: str, structured: dict[str, Any] | None = None) -> CallToolResult:
    """An isError result; `structured` is the JobRef if it is about a job."""
    text = TextContent(type="text", text=f"{code}: {sentence}")
    return CallToolResult(content=[text], structured_content=structured, is_error=True)
