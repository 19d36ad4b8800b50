"""`serve` and `work`: the server on stdio or HTTP, and the worker without a server."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio
import click

from ltx_mcp.cli.common import open_jobs, run, told
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.server.edge import read_edge

if TYPE_CHECKING:
    from ltx_mcp.server.desk import Desk

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENDING = (signal.SIGTERM, signal.SIGINT) if os.name == "nt" else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@click.command()
@click.option("--http", is_flag=True, help="Serve streamable HTTP at /mcp instead of stdio.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind; loopback only.")
@click.option("--port", default=8000, show_default=True, help="Port to bind.")
def serve(http: bool = False, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve MCP over stdio, or over HTTP with --http."""
    with told():
        if http:
            _serve_http(host, port)
        else:
            anyio.run(_serve_stdio)


async def _serve_stdio() -> None:
    from ltx_mcp.server.app import make_server

    server, desk_now = make_server(*read_edge())
    if sys.stdin.isatty():
        print(
            "ltx-mcp is an MCP server and waits for a host on stdin; Ctrl-C ends it. "
            "For a person: ltx-mcp generate, ltx-mcp jobs, ltx-mcp --help.",
            file=sys.stderr,
        )
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signal, desk_now)
        await server.run_stdio_async()
        group.cancel_scope.cancel()


async def _end_on_signal(desk_now: Callable[[], "Desk | None"]) -> None:
    """Hand over and leave. The SDK's reader thread sits in read(2), so leaving is os._exit."""
    with anyio.open_signal_receiver(*ENDING) as signals:
        async for _ in signals:
            desk = desk_now()
            if desk is not None:
                await desk.close()
            os._exit(0)


def _serve_http(host: str, port: int) -> None:
    from ltx_mcp.server.app import make_server
    from ltx_mcp.server.http import add_video_route

    if host not in LOOPBACK:
        raise SetupError(
            ErrorCode.INVALID_REQUEST,
            f"--host {host} would let others order with your keys; this version serves {', '.join(LOOPBACK)} only.",
        )
    settings, market = read_edge()
    shown = f"[{host}]" if ":" in host else host
    server, desk_now = make_server(settings, market, base_url=settings.public_url or f"http://{shown}:{port}")
    add_video_route(server, desk_now)
    server.run("streamable-http", host=host, port=port)


@click.command()
@click.option("--until-idle", is_flag=True, help="End when no job is under way any more.")
@click.option("--home", default="", hidden=True)
def work(until_idle: bool, home: str) -> None:
    """Work on jobs that are under way, without serving."""
    run(partial(_until_idle if until_idle else _for_ever, home))


async def _for_ever(home: str) -> None:
    async with open_jobs(work=True, home=home), anyio.create_task_group() as group:
        group.start_soon(_cancel_on_signal, group.cancel_scope)
        await anyio.sleep_forever()


async def _until_idle(home: str) -> None:
    from ltx_mcp.jobs.handover import alone

    async with open_jobs(home=home) as jobs, anyio.create_task_group() as group:
        group.start_soon(_cancel_on_signal, group.cancel_scope)
        await alone(jobs.home, lambda: jobs.work(until_idle=True), jobs.is_idle)
        group.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*ENDING) as signals:
        async for _ in signals:
            scope.cancel()
            return
