"""All emulated providers on one loopback port, the videos they deliver, and the control addresses."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ltx_mcp.emulator.control import ControlApi, refuse_strangers
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.inputs import Inputs
from ltx_mcp.emulator.videos import Videos
from ltx_mcp.emulator.wire import Emulator
from ltx_mcp.media.client import MediaClient
from ltx_mcp.providers.catalog_loader import read_providers

EXPIRES_S = 24 * 3600
MEDIA_PATHS = ("/media/", "/files/b/")
"""Where videos and uploaded files are, which a page may show."""


def providers() -> list[ModuleType]:
    """The emulated providers, each the module of its name here with `NAME`, `KEY`, `routes` and `refuse`."""
    names = sorted(facts.name for facts in read_providers() if not facts.is_preview)
    return [import_module(f"{__package__}.{name}") for name in names]


def settings(base_url: str) -> dict[str, str]:
    """The environment that points ltx-mcp at an emulator: a dummy key and the addresses of every provider."""
    facts = {each.name: each for each in read_providers()}
    variables: dict[str, str] = {}
    for provider in providers():
        variables[facts[provider.NAME].key_env[0]] = provider.KEY
        variables |= dict.fromkeys(facts[provider.NAME].url_env.values(), base_url)
    return variables


def make_state(**times: float) -> EmulatorState:
    """A state that accepts the dummy keys, and no others."""
    return EmulatorState(**times, keys={provider.NAME: provider.KEY for provider in providers()})


def make_app(state: EmulatorState, folder: Path, base_url: str) -> ASGIApp:
    """The ASGI app; `folder` keeps the videos."""
    media = MediaClient()
    groups: list[TaskGroup] = []

    def start_later(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for group in groups:
            group.start_soon(work)

    emulator = Emulator(state, Videos(folder, media), Inputs(media), base_url, start_later)
    routes = [route for provider in providers() for route in provider.routes(emulator)]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            groups.append(group)
            yield
            groups.clear()
            group.cancel_scope.cancel()
        await media.close()
        emulator.inputs.close()

    app = Starlette(routes=[*routes, _media(emulator), *ControlApi(state).routes()], lifespan=lifespan)

    async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn gives no other way to break a connection without an answer, which is what is emulated here
        cycle = getattr(send, "__self__", None)
        transport = getattr(cycle, "transport", None)
        scope["cut"] = transport.abort if transport is not None else lambda: None
        if scope["type"] == "http":
            refused = refuse_strangers(scope, is_media=scope["path"].startswith(MEDIA_PATHS))
            if refused is not None:
                await refused(scope, receive, send)
                return
        await app(scope, receive, send)

    return cuttable


def _media(emulator: Emulator) -> Route:
    """Where results lie: public, by Range too, gone after a day or at once where the order's fault says so."""
    state = emulator.state

    async def video(request: Request) -> Response:
        order = state.by_media(request.path_params["media_id"])
        if order is None or state.status(order) != "done":
            return PlainTextResponse("not found", 404)
        if order.fault_kind == "url_expires":
            return PlainTextResponse("expired", 403)
        if state.ended_before(order, EXPIRES_S):
            return PlainTextResponse("expired", 404)
        return FileResponse(await emulator.videos.path(order.video), media_type="video/mp4")

    def refuse(fault: Fault) -> Response:
        return PlainTextResponse("no", fault.options.get("status", 500))

    return emulator.route("media", "download", "/media/{media_id}.mp4", "GET", video, refuse)


@contextmanager
def running(
    folder: Path, *, state: EmulatorState | None = None, tls: tuple[str, str] | None = None
) -> Iterator[tuple[str, EmulatorState]]:
    """An emulator in a thread of this process, on a free loopback port; gives its address and its state.

    `tls` are the files of a certificate and its key; without them it speaks plain HTTP.
    """
    state = state or make_state()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        with served(make_web(make_app(state, folder, base_url), tls), listener):
            yield base_url, state


@contextmanager
def served(config: uvicorn.Config, listener: socket.socket) -> Iterator[None]:
    """A web server in a thread of this process."""
    web = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: anyio.run(web.serve, [listener]), daemon=True)
    thread.start()
    try:
        while not web.started:
            thread.join(0.01)
            if not thread.is_alive():
                raise RuntimeError("the web server did not start")
        yield
    finally:
        web.should_exit = True
        thread.join(10)


def make_web(app: ASGIApp, tls: tuple[str, str] | None = None) -> uvicorn.Config:
    """How uvicorn serves it: quiet, and without waiting for streams when it ends."""
    certificate, key = tls or (None, None)
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        proxy_headers=False,
        timeout_graceful_shutdown=0,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
