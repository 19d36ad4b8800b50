"""A server only for the suite's tasks scenarios: the tools they want, over the `Tasks` that our own server mounts.

A toy job does nothing: how it stands follows from the clock.
"""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import (
    INTERNAL_ERROR,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    TextContent,
)

from ltx_mcp.emulator.app import served
from ltx_mcp.server.tasks import TASKS, Request, Task, Tasks, follows_tasks

SHORT_S = 0.3
NAME = "user_name"
NAMES = ("slow_compute", "failing_job", "protocol_error_job", "confirm_delete", "test_tool_with_task")


@dataclass(frozen=True)
class Toy:
    """A job that ends by itself, with a text or with an error."""

    id: str
    placed_at: datetime
    ends_at: datetime
    text: str
    is_error: bool = False
    breaks: bool = False
    cancelled_at: datetime | None = None

    @property
    def done(self) -> bool:
        """Whether its time has come."""
        return datetime.now(UTC) >= self.ends_at

    def result(self) -> CallToolResult:
        """What its call gives in the end."""
        return CallToolResult(content=[TextContent(type="text", text=self.text)], is_error=self.is_error)


class Toys:
    """The jobs of this process, as a ledger of tasks."""

    def __init__(self) -> None:
        self._toys: dict[str, Toy] = {}
        self._numbers = itertools.count(1)

    def place(self, seconds: float, text: str, *, is_error: bool = False, breaks: bool = False) -> Toy:
        """A new job that takes this long."""
        now, number = datetime.now(UTC), next(self._numbers)
        toy = Toy(f"toy_{number:06d}", now, now + timedelta(seconds=seconds), text, is_error, breaks)
        self._toys[toy.id] = toy
        return toy

    async def of_result(self, answer: CallToolResult, request: Request) -> Task | None:
        """The task of a job that was named in the answer."""
        toy_id = (answer.structured_content or {}).get("toy")
        return await self.find(toy_id, request) if toy_id else None

    async def find(self, task_id: str, request: Request) -> Task | None:
        """How it stands now."""
        toy = self._toys.get(task_id)
        if toy is None:
            return None
        if toy.cancelled_at is not None:
            return Task(toy.id, "cancelled", toy.placed_at, toy.cancelled_at)
        if not toy.done:
            return Task(toy.id, "working", toy.placed_at, toy.placed_at, "waiting")
        if toy.breaks:
            broken = ErrorData(code=INTERNAL_ERROR, message=toy.text)
            return Task(toy.id, "failed", toy.placed_at, toy.ends_at, toy.text, error=broken)
        return Task(toy.id, "completed", toy.placed_at, toy.ends_at, result=toy.result())

    async def cancel(self, task_id: str, request: Request) -> None:
        """Only before its end."""
        if not self._toys[task_id].done:
            self._toys[task_id] = replace(self._toys[task_id], cancelled_at=datetime.now(UTC))


def make_toy_server() -> MCPServer[Any]:
    """The server with its tools."""
    toys = Toys()
    server: MCPServer[Any] = MCPServer("toys", version="1", extensions=[Tasks(toys, NAMES)], log_level="ERROR")

    async def answered(context: Context[Any], seconds: float, text: str, **how: bool) -> CallToolResult:
        """Names the job while it goes on; whoever cannot follow a task waits for its end."""
        toy = toys.place(seconds, text, **how)
        if follows_tasks(context.request_context) and not toy.done:
            return CallToolResult(content=[], structured_content={"toy": toy.id})
        await anyio.sleep(seconds)
        return toy.result()

    @server.tool(description="Greets at once.", structured_output=False)
    async def greet(name: str) -> str:
        return f"Hello, {name}!"

    @server.tool(description="Takes its time.", structured_output=False)
    async def slow_compute(context: Context[Any], seconds: float = 1, label: str = "") -> CallToolResult:
        return await answered(context, seconds, f"{label} took {seconds:g} s")

    @server.tool(description="Always fails, and only as a task.", structured_output=False)
    async def failing_job(context: Context[Any]) -> CallToolResult:
        require_client_extension(context.request_context, TASKS)
        return await answered(context, SHORT_S, "it failed", is_error=True)

    @server.tool(description="Breaks in the middle.", structured_output=False)
    async def protocol_error_job(context: Context[Any]) -> CallToolResult:
        return await answered(context, SHORT_S, "it broke", breaks=True)

    @server.tool(description="Deletes nothing, and asks nobody.", structured_output=False)
    async def confirm_delete(context: Context[Any], filename: str = "") -> CallToolResult:
        return await answered(context, SHORT_S, f"{filename} is still there")

    @server.tool(description="Asks for a name, then works.", structured_output=False)
    async def test_tool_with_task(context: Context[Any]) -> CallToolResult | InputRequiredResult:
        said = (context.input_responses or {}).get(NAME)
        if isinstance(said, ElicitResult) and said.content:
            return await answered(context, SHORT_S, f"made for {said.content['name']}")
        form = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        question = ElicitRequestFormParams(message="What is your name?", requested_schema=form)
        return InputRequiredResult(input_requests={NAME: ElicitRequest(params=question)})

    return server


@contextmanager
def toys_served() -> Iterator[str]:
    """The address of a toy server in a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = make_toy_server().streamable_http_app()
        config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        with served(config, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
