"""The one place where an error becomes an answer: `<code>: ` and a sentence, as isError, never a crash of the call."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, InputRequiredResult, TextContent

from ltx_mcp.domain.errors import ErrorCode, LtxError

logger = logging.getLogger(__name__)


async def catch_errors(
    name: str, call: Callable[[], Awaitable[CallToolResult | InputRequiredResult]]
) -> CallToolResult | InputRequiredResult:
    """The answer of `call`, or its failure in words that say what to do."""
    try:
        return await call()
    except LtxError as error:
        logger.info("%s: %s", name, error.code)
        return error_result(error.code, str(error))
    except MCPError:
        raise
    except Exception:
        logger.exception("%s broke", name)
        return error_result(
            ErrorCode.INTERNAL_ERROR,
            "Something broke in ltx-mcp; its log on stderr says what. list_jobs shows whether a job was placed.",
        )


def error_result(code: ErrorCode, sentence: str, structured: dict[str, Any] | None = None) -> CallToolResult:
    """An isError answer; `structured` is the job's JobRef when it is about a job."""
    text = TextContent(type="text", text=f"{code}: {sentence}")
    return CallToolResult(content=[text], structured_content=structured, is_error=True)
