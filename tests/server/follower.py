"""A host that follows tasks: the SDK's own client with the extension it does not bring. Not a test."""

from collections.abc import Sequence
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.session import ClientSession
from mcp.types import CallToolResult, Request, RequestParams, Result, TextContent
from pydantic import ConfigDict, Field

from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.server.tasks import TASKS
from tests.facts import facts_of
from tests.patience import HANG_S

POND: dict[str, Any] = {"prompt": "a pond at dawn"}
SMALL: dict[str, Any] = {**POND, "provider": "local", "resolution": "720p", "fps": 24, "generate_audio": False}
LONG_S = 3600.0
ENDED = ("completed", "failed", "cancelled")


class Handle(Result):
    """What a call is answered with, flat; any other field would be kept, and seen."""

    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")


class Answered(Result):
    """Whatever a tasks method says."""

    model_config = ConfigDict(extra="allow")


class TaskParams(RequestParams):
    task_id: str = Field(alias="taskId")


class TaskRequest(Request[TaskParams, str]):
    name_param = "taskId"


class UpdateParams(TaskParams):
    input_responses: dict[str, Any] = Field(alias="inputResponses")


class UpdateRequest(Request[UpdateParams, str]):
    name_param = "taskId"


async def send(session: ClientSession, verb: str, task_id: str) -> dict[str, Any]:
    """The result of one tasks request as it was sent."""
    asked = TaskRequest(method=f"tasks/{verb}", params=TaskParams(taskId=task_id))
    return (await session.send_request(asked, Answered)).model_dump(mode="json", by_alias=True, exclude_none=True)


async def ended(session: ClientSession, task_id: str) -> dict[str, Any]:
    """The task at its end."""
    with anyio.fail_after(HANG_S):
        while (task := await send(session, "get", task_id))["status"] not in ENDED:
            await anyio.sleep(0.05)
    return task


async def let_it_end(world: EmulatorState) -> None:
    """Turn the clock to the end of the order, once it is there."""
    with anyio.fail_after(HANG_S):
        while not world.orders:
            await anyio.sleep(0.02)
    world.advance(LONG_S)


class Follows(ClientExtension):
    """Declares the extension and follows a task to its result."""

    identifier = TASKS

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Handle, resolve=self._resolve)]

    async def _resolve(self, handle: Handle, context: ClaimContext) -> CallToolResult:
        return CallToolResult.model_validate((await ended(context.session, handle.task_id))["result"])


async def handle(client: Client, tool: str = "generate_video", **arguments: Any) -> dict[str, Any]:
    """The task a call is answered with."""
    answer = await client.session.call_tool(tool, POND | arguments, allow_claimed=True)
    assert isinstance(answer, Handle), answer
    return answer.model_dump(mode="json", by_alias=True)


def structured(answer: Any) -> dict[str, Any]:
    assert isinstance(answer, CallToolResult), answer
    return facts_of(answer)


def text_of(answer: Any) -> str:
    assert isinstance(answer, CallToolResult), answer
    assert isinstance(answer.content[0], TextContent)
    return answer.content[0].text


async def code_of(session: ClientSession, verb: str, task_id: str) -> tuple[int, str]:
    """The protocol error that a request is refused with."""
    with pytest.raises(MCPError) as refused:
        await send(session, verb, task_id)
    return refused.value.error.code, refused.value.error.message
