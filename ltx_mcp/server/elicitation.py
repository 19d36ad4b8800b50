"""Asks a person, through their host, whether to pay a price.

Hosts of the current protocol get the question as the result of the call, and repeat the call with the reply; the SDK
seals our token in between. Older ones are asked during the call.
"""

from contextlib import suppress
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from ltx_mcp.domain.confirmation import ConfirmationPrompt, ConfirmationReply

MAX_ASKING_S = 40.0
PRICE = "price"
ASKS_IN_RESULT_SINCE = "2026-07-28"
NOTHING_TO_FILL_IN: dict[str, Any] = {"type": "object", "properties": {}}


def can_ask(context: Context[Any]) -> bool:
    """Whether the host declares elicitation."""
    declared = context.client_capabilities
    asks = declared.elicitation if declared else None
    return asks is not None and (asks.form is not None or asks.url is None)


def asks_in_result(context: Context[Any]) -> bool:
    """Whether a question is the result of the call, and not a request of its own."""
    return is_version_at_least(context.protocol_version or "", ASKS_IN_RESULT_SINCE)


def to_result(question: ConfirmationPrompt) -> InputRequiredResult:
    """The question as the result of the call."""
    params = ElicitRequestFormParams(message=question.text, requested_schema=NOTHING_TO_FILL_IN)
    return InputRequiredResult(input_requests={PRICE: ElicitRequest(params=params)}, request_state=question.token)


def read_reply(context: Context[Any]) -> ConfirmationReply | None:
    """The reply to the question of an earlier round. Without our token, which nobody can forge, it has no effect."""
    reply = (context.input_responses or {}).get(PRICE)
    if not isinstance(reply, ElicitResult):
        return None
    return ConfirmationReply(context.request_state or "", reply.action == "accept")


async def ask(context: Context[Any], question: ConfirmationPrompt, seconds: float) -> ConfirmationReply:
    """Ask during the call. A reply that is late or cannot be read does not count."""
    yes = None
    with anyio.move_on_after(seconds), suppress(MCPError, ValidationError):
        reply = await context.session.elicit_form(question.text, NOTHING_TO_FILL_IN, context.request_id)
        yes = reply.action == "accept"
    return ConfirmationReply(question.token, yes)
