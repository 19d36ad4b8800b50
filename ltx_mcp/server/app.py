"""Builds the server: tools, resources, prompts, and a lifespan at whose end a worker takes over active jobs."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, cast

import anyio
from mcp.server import MCPServer
from mcp.server.context import CallNext, ServerRequestContext
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.types import SubscriptionsListenResult

from ltx_mcp import __version__
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.quoting import MAX_SHOWN_CHARS, shorten
from ltx_mcp.presentation.config import make_config, warn_of_ended
from ltx_mcp.presentation.json_logs import strike_out
from ltx_mcp.presentation.logs import log_to_stderr
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.current import know_caller
from ltx_mcp.server.auth.links import LinkSigner
from ltx_mcp.server.auth.request_state import make_request_state_security
from ltx_mcp.server.auth.scopes import make_scope_check
from ltx_mcp.server.completions import add_completions
from ltx_mcp.server.player.page import make_player
from ltx_mcp.server.prompts import add_prompts, explain_refusals
from ltx_mcp.server.resources import add_resources
from ltx_mcp.server.tasks import JobTasks, Tasks
from ltx_mcp.server.tools import PAID, make_tools
from ltx_mcp.settings import Settings

LOOK = "look at the contact sheet, or one moment with frame_at, before you show video_url"
INSTRUCTIONS = (
    "ltx-mcp makes LTX videos. 1. estimate_cost shows prices; tell the user before you order. 2. generate_video (from "
    "text) or animate_image (from a picture) orders once and answers with a job_id. Prompt: one paragraph in the "
    "present tense of what is seen and heard: shot size, subject and action, camera, light, sound; one action for "
    "every 2 to 3 seconds. 3. check_job follows it: wait_seconds=45, call again while it runs. 4. When it succeeded, "
    f"{LOOK}. 5. Refine: another take is "
    "another order with a new request_key; change one thing, and ask the user before you spend more. takes=3 makes "
    "three to choose from: set_…/2 is the second. Never order again because an answer is late or a state is unknown; "
    "repeat a lost call with the same request_key: it gives the same job and costs nothing. Several shots: order them "
    "in one go, each with image=job_…#last of the one before, and join_videos to make one film of them, free. Mend "
    "rather than begin anew: extend_video lengthens a film, retake_video redoes a section (the whole film is "
    "charged), reframe_video makes it upright or square, "
    "generate_from_audio fits a film to a voice or music; video=job_… names a film by its job. Errors name the "
    "argument and what is allowed. Provider local draws a free preview on this machine, which is not LTX: say so. "
    "Prompts direct_video and storyboard hold the whole guide; ltx://models what can be ordered, ltx://spend/today "
    "what it cost."
)


NAMES = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The parameter that names something, by method; nothing here has a name longer than MAX_SHOWN_CHARS."""


def make_server(
    settings: Settings, catalog: Catalog, *, base_url: str = ""
) -> tuple[MCPServer[AppContext], Callable[[], AppContext | None]]:
    """The server, and a function that gives its context while it runs. With `base_url` videos are reached over HTTP,
    where there are logins by signed links."""
    signer = LinkSigner(settings.signing_keys) if settings.has_login and base_url else None
    contexts: list[AppContext] = []

    @asynccontextmanager
    async def lifespan(server: MCPServer[AppContext]) -> AsyncIterator[AppContext]:
        async with anyio.create_task_group() as group:
            config = partial(make_config, settings, catalog, paths=not base_url)
            app_context = AppContext(settings, config, group, base_url, signer)
            contexts.append(app_context)
            group.start_soon(app_context.take_over_ownerless)
            try:
                yield app_context
            finally:
                await app_context.close()
                contexts.remove(app_context)
                group.cancel_scope.cancel()

    level = log_to_stderr(settings.log_level)
    strike_out(settings.secrets)
    warn_of_ended(settings, catalog)
    tools = make_tools(catalog, show_frames=settings.show_frames)
    reading = [tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint]
    check_scopes = make_scope_check(reading, has_login=settings.has_login and bool(base_url))
    with _without_rich():
        server = MCPServer[AppContext](
            "ltx-mcp",
            title="LTX videos",
            instructions=INSTRUCTIONS if settings.show_frames else INSTRUCTIONS.replace(LOOK, "show video_url"),
            version=__version__,
            tools=[*tools],
            extensions=[
                Tasks(JobTasks(), [tool.name for tool in tools if tool.annotations == PAID]),
                make_player(catalog, settings.lookup, base_url, settings.bucket),
            ],
            lifespan=lifespan,
            request_state_security=make_request_state_security(settings.signing_keys),
            log_level=cast(Any, level),
            middleware=[
                know_caller,
                _mark_response,
                _note_cancelled,
                _end_listening,
                shorten_names,
                check_scopes,
                explain_refusals,
            ],
        )

    def current_context() -> AppContext | None:
        return contexts[-1] if contexts else None

    add_resources(server, catalog)
    add_prompts(server, catalog)
    add_completions(server, catalog, current_context)
    return server, current_context


async def _mark_response(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """Note the first response: heavy work waits for it."""
    result = await call_next(ctx)
    if isinstance(ctx.lifespan_context, AppContext):
        ctx.lifespan_context.has_responded.set()
    return result


async def _note_cancelled(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """Tell the patience of a connection which call is not waited for any more: over HTTP another request says so."""
    if ctx.method == "notifications/cancelled" and isinstance(ctx.lifespan_context, AppContext):
        cancelled = cancelled_request_id_from_params(ctx.params)
        if cancelled is not None:
            ctx.lifespan_context.patiences.of(ctx.request).given_up(cancelled)
    return await call_next(ctx)


async def _end_listening(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """End a stream of changes with its result when this server is about to end."""
    app_context = ctx.lifespan_context
    if ctx.method != "subscriptions/listen" or not isinstance(app_context, AppContext):
        return await call_next(ctx)
    result: Any = SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: ctx.request_id})
    with app_context.listening.at_most(inf):
        result = await call_next(ctx)
    return result


async def shorten_names(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """Cut a name that is too long to exist, before the SDK repeats it in an error, logs it or looks it up."""
    name = NAMES.get(ctx.method, "")
    given = (ctx.params or {}).get(name)
    if isinstance(given, str) and given != (short := shorten(given)):
        ctx = replace(ctx, params={**(ctx.params or {}), name: short})
    if len(ctx.method) > MAX_SHOWN_CHARS:
        ctx = replace(ctx, method=shorten(ctx.method))
    return await call_next(ctx)


@contextmanager
def _without_rich() -> Iterator[None]:
    """Hide rich while the server is made: the SDK would import it for a log handler we replace, which takes 40 ms."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich.console"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich.console"]
        sys.modules.pop("rich", None)
