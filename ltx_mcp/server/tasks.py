"""The tasks extension (SEP-2663): a task is a job, with its id and its state, so it outlives the server that gave it.

`Tasks` implements the protocol over any `TaskStore`; `JobTasks` is ours. Hosts that do not declare the extension see
plain tools.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp.types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ErrorData,
    RequestParams,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.domain.job import ACTIVE_STATES, Job, State
from ltx_mcp.domain.job_set import jobs_of
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.presentation.result_models import to_time
from ltx_mcp.server.app_context import open_jobs
from ltx_mcp.server.auth.current import current_caller
from ltx_mcp.server.results import job_result

logger = logging.getLogger(__name__)

TASKS = "io.modelcontextprotocol/tasks"
POLL_MS = 2000

Request = ServerRequestContext[Any, Any]
Status = Literal["working", "completed", "failed", "cancelled"]


@dataclass(frozen=True)
class Task:
    """A task. `result` belongs to completed, even if it is an isError; `error` to failed, which in the protocol means
    that the call broke."""

    id: str
    status: Status
    created_at: datetime
    updated_at: datetime
    message: str = ""
    result: CallToolResult | None = None
    error: ErrorData | None = None

    def to_wire(self) -> dict[str, Any]:
        """The fields that every message about a task has."""
        return {
            "taskId": self.id,
            "status": self.status,
            **({"statusMessage": self.message} if self.message else {}),
            "createdAt": to_time(self.created_at),
            "lastUpdatedAt": to_time(self.updated_at),
            "ttlMs": None,
            "pollIntervalMs": POLL_MS,
        }

    def to_complete_wire(self) -> dict[str, Any]:
        """With its result or error, once it has one."""
        ends = {"result": self.result, "error": self.error}
        ended = {
            name: end.model_dump(mode="json", by_alias=True, exclude_none=True) for name, end in ends.items() if end
        }
        return self.to_wire() | ended


class TaskStore(Protocol):
    """Where tasks are looked up."""

    async def of_result(self, result: CallToolResult, request: Request) -> Task | None:
        """The task of a call's result; None when the result is final."""

    async def find(self, task_id: str, request: Request) -> Task | None:
        """The task, or None. Raises MCPError where it cannot be looked up."""

    async def cancel(self, task_id: str, request: Request) -> None:
        """Request cancellation; a task that has ended stays as it is. Raises MCPError."""


class _TaskParams(RequestParams):
    task_id: str = Field(alias="taskId")


class Tasks(Extension):
    """The methods of the extension. Calls of `names` return a task if the client supports that."""

    identifier = TASKS

    def __init__(self, store: TaskStore, names: Collection[str]) -> None:
        self._store = store
        self._names = frozenset(names)

    def methods(self) -> Sequence[MethodBinding]:
        """tasks/get, tasks/update and tasks/cancel."""
        handlers = {"tasks/get": self._get, "tasks/update": self._update, "tasks/cancel": self._cancel}
        return [
            MethodBinding(name, _TaskParams, handler, frozenset(MODERN_PROTOCOL_VERSIONS))
            for name, handler in handlers.items()
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Request, call_next: CallNext
    ) -> HandlerResult:
        """Make the call; if its job is still active, return the task instead. A question to a person is passed on."""
        result = await call_next(ctx)
        if params.name not in self._names or not follows_tasks(ctx) or not isinstance(result, CallToolResult):
            return result
        task = await self._store.of_result(result, ctx)
        return result if task is None else {"resultType": "task", **task.to_wire()}

    async def _get(self, ctx: Request, params: _TaskParams) -> HandlerResult:
        return {"resultType": "complete", **(await self._find(ctx, params)).to_complete_wire()}

    async def _update(self, ctx: Request, params: _TaskParams) -> HandlerResult:
        """A task never asks for input, so whatever is sent is ignored."""
        await self._find(ctx, params)
        return {"resultType": "complete"}

    async def _cancel(self, ctx: Request, params: _TaskParams) -> HandlerResult:
        task = await self._find(ctx, params)
        await self._store.cancel(task.id, ctx)
        return {"resultType": "complete"}

    async def _find(self, ctx: Request, params: _TaskParams) -> Task:
        require_client_extension(ctx, TASKS)
        # over HTTP the routing header must name the task; the SDK checks it for the methods of the core only
        http = ctx.request
        if http is not None and decode_header_value(http.headers.get(MCP_NAME_HEADER)) != params.task_id:
            raise MCPError(
                HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the request body's 'taskId' parameter"
            )
        task = await self._store.find(params.task_id, ctx)
        if task is None:
            raise MCPError(INVALID_PARAMS, f"There is no task {shorten(params.task_id)}.")
        return task


def follows_tasks(request: Request) -> bool:
    """Whether the client of this request accepts a task as result."""
    declared = request.session.client_capabilities
    declares = declared is not None and TASKS in (declared.extensions or {})
    return declares and request.protocol_version in MODERN_PROTOCOL_VERSIONS


class JobTasks:
    """The jobs of a server as tasks."""

    async def of_result(self, result: CallToolResult, request: Request) -> Task | None:
        """The task of an active job. Its first message is the complete text: price, changes, and what to do next."""
        ref = result.structured_content or {}
        if ref.get("state") not in ACTIVE_STATES or "error" in ref:
            return None
        try:
            task = await self.find(ref["job_id"], request)
        except MCPError as error:
            # the order is placed, so its caller must get the result in any case
            logger.error("%s: not told as a task: %s", ref["job_id"], error)
            return None
        text = result.content[0].text if isinstance(result.content[0], TextContent) else ""
        return task and replace(task, message=text)

    async def find(self, task_id: str, request: Request) -> Task | None:
        """A job, or a set, as a task."""
        with _as_mcp_errors():
            app_context, jobs = await open_jobs(Context(request_context=request))
            try:
                found = await jobs.find(task_id, current_caller())
                takes = jobs_of(found)
                moved_at = max([event.at for take in takes for event in await jobs.history(take.id, current_caller())])
            except LtxError as error:
                if error.code is ErrorCode.JOB_NOT_FOUND:
                    return None
                raise
            if working := next(filter(_is_working, takes), None):
                parts = (await app_context.status_text(working), jobs.blocked_reason(working))
                message = ". ".join(filter(None, parts))
                return Task(found.id, "working", found.created_at, moved_at, message)
            ref = await app_context.ref(found)
            message = f"{ref.error.message} {ref.next}" if ref.error else ref.next
            if found.state is State.CANCELLED:
                return Task(found.id, "cancelled", found.created_at, moved_at, message)
            return Task(
                found.id, "completed", found.created_at, moved_at, message, await job_result(app_context, found)
            )

    async def cancel(self, task_id: str, request: Request) -> None:
        """The same as cancel_job."""
        with _as_mcp_errors():
            _, jobs = await open_jobs(Context(request_context=request))
            await jobs.cancel(task_id, current_caller())


def _is_working(job: Job) -> bool:
    """A job of unknown outcome was reported as completed; it stays so while its provider is asked once more."""
    return job.live and job.error is None


@contextmanager
def _as_mcp_errors() -> Iterator[None]:
    try:
        yield
    except LtxError as error:
        code = INVALID_PARAMS if error.code is ErrorCode.JOB_NOT_FOUND else INTERNAL_ERROR
        raise MCPError(code, f"{error.code}: {error}") from error
