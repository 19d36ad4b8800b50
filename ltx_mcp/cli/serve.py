"""`serve` and `work`: the server on stdio or HTTP, and the worker without a server."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import anyio
import click
from anyio.abc import TaskGroup, TaskStatus

from ltx_mcp.cli.common import ENDING, at_signal, listen, open_jobs, run
from ltx_mcp.cli.output.messages import say
from ltx_mcp.cli.untraced import UntracedCommand
from ltx_mcp.presentation.config import check_webhooks, read_callers, read_edge, warn_of_previews
from ltx_mcp.presentation.json_logs import drain_stderr, is_json, log_as_json
from ltx_mcp.presentation.logs import report_left_out
from ltx_mcp.providers.key_names import previews_text
from ltx_mcp.settings import wants_json_log
from ltx_mcp.telemetry import flush

if TYPE_CHECKING:
    from ltx_mcp.domain.plan import Catalog
    from ltx_mcp.server.app_context import AppContext
    from ltx_mcp.server.http_limits import WebServer
    from ltx_mcp.settings import Settings

HOST, PORT = "127.0.0.1", 8000
PATIENCE_S = 600.0
"""How long a worker waits for a database that is out of reach before it ends."""
GRACE_S = 1
"""How long a call may keep an HTTP server from ending whose user pressed Ctrl-C."""
DRAINING_S, DRAINED_GRACE_S = 2.0, 10
"""How long a server that was told to end still serves, so that a balancer notices; how long calls may take then."""


@click.command(cls=UntracedCommand)
@click.option("--http", is_flag=True, help="Serve streamable HTTP at /mcp instead of stdio.")
@click.option("--host", help=f"Address to bind; others than loopback need a login and --http.  [default: {HOST}]")
@click.option("--port", type=click.IntRange(0, 65535), help=f"0: any that is free; needs --http.  [default: {PORT}]")
@click.option("--behind-tls-proxy", is_flag=True, help="A proxy of yours encrypts, whatever LTX_MCP_PUBLIC_URL says.")
def serve(http: bool = False, host: str | None = None, port: int | None = None, behind_tls_proxy: bool = False) -> None:
    """Serve MCP over stdio, or over HTTP with --http."""
    _choose_log()
    if http:
        host, port = HOST if host is None else host, PORT if port is None else port
        run(partial(_serve_http, host, port, behind_tls_proxy=behind_tls_proxy))
    elif host is not None or port is not None or behind_tls_proxy:
        raise click.UsageError("--host, --port and --behind-tls-proxy need --http.")
    else:
        run(_serve_stdio)


def _choose_log() -> None:
    """From its first line: whoever asked for JSON reads what stops a start as well."""
    if wants_json_log() and not is_json():
        log_as_json()


async def _serve_stdio() -> None:
    # hundreds of modules are loaded for the first answer, and none of it is garbage: a tenth of the start is saved
    gc.disable()
    from ltx_mcp.server.app import make_server
    from ltx_mcp.server.stdio import serve_stdio

    settings, catalog = read_edge()
    server, current_context = make_server(settings, catalog)
    warn_of_previews(settings, catalog)
    gc.freeze()
    gc.enable()
    async with anyio.create_task_group() as group:
        if sys.platform != "win32":
            await group.start(_end_on_signal, current_context)
        if sys.stdin is not None and sys.stdin.isatty():
            print(
                "ltx-mcp is an MCP server and waits for a host on stdin; Ctrl-C ends it. "
                "For a person: ltx-mcp generate, ltx-mcp jobs, ltx-mcp --help. "
                + previews_text(catalog, settings.environment, "films are previews"),
                file=sys.stderr,
            )
        await serve_stdio(server)
        group.cancel_scope.cancel()


async def _end_on_signal(current_context: "Callable[[], AppContext | None]", *, task_status: TaskStatus[None]) -> None:
    """Hand over and leave. The SDK's reader thread sits in read(2), so leaving is os._exit."""
    with anyio.open_signal_receiver(*ENDING) as signals:
        task_status.started()
        async for _ in signals:
            app_context = current_context()
            if app_context is not None:
                await app_context.close()
            _leave_at_once()


async def _serve_http(host: str, port: int, *, behind_tls_proxy: bool) -> None:
    settings, catalog = read_edge()
    from ltx_mcp.server.auth.setup import check_service, open_logins

    check_service(settings, host, behind_tls_proxy=behind_tls_proxy)
    read_callers(settings, catalog)  # a file that cannot be used is told to the operator, not to the first caller
    check_webhooks(settings)
    with listen(host, port) as listener:
        from ltx_mcp.server.app import make_server
        from ltx_mcp.server.http import make_app
        from ltx_mcp.server.http_limits import WebServer, make_limits

        bound = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        server, current_context = make_server(settings, catalog, base_url=settings.public_url or bound)
        app = make_app(server, current_context, settings.public_url, open_logins(settings))
        web = WebServer(app, make_limits())
        async with anyio.create_task_group() as group, at_signal(partial(_leave, group, web, current_context)):
            say(f"ltx-mcp serves MCP at {bound}/mcp; Ctrl-C ends it.", _who_can_use_it(settings, catalog))
            await web.serve(sockets=[listener])
            # asked to end twice, uvicorn leaves without the lifespan that hands over
            if (app_context := current_context()) is not None:
                await app_context.close()
            _leave_at_once()


def _leave_at_once() -> NoReturn:
    """All is handed over and closed; taking the interpreter apart would be most of the end. What that would tell is
    told here."""
    flush()
    report_left_out()
    drain_stderr()
    sys.stderr.flush()
    os._exit(0)


def _leave(
    group: TaskGroup, web: "WebServer", current_context: "Callable[[], AppContext | None]", number: signal.Signals
) -> None:
    """Drain when told to end by whoever runs this server; a person who presses Ctrl-C need not wait for that."""
    # calls that are cut short in the end would be logged by uvicorn with a traceback each
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    app_context = current_context()
    if number is not signal.SIGTERM or app_context is None:
        web.leave(GRACE_S)
    elif not app_context.is_draining:
        app_context.drain()
        group.start_soon(_leave_drained, web)


async def _leave_drained(web: "WebServer") -> None:
    await anyio.sleep(DRAINING_S)
    web.leave(DRAINED_GRACE_S)


def _who_can_use_it(settings: "Settings", catalog: "Catalog") -> str:
    """Whoever may call orders with what this process has."""
    names = ((facts.name, [name for name in facts.key_env if settings.lookup(name)]) for facts in catalog.providers)
    lent = [f"{provider} ({' and '.join(keys)})" for provider, keys in names if keys]
    orders = f"order with the keys of {_user_name()} for {', '.join(lent)}" if lent else "order previews: no key is set"
    why = previews_text(catalog, settings.environment, "films are previews")
    ways = [f"a token of {settings.tokens_file}"] if settings.tokens_file else []
    ways += [f"a login at {issuer}" for issuer in settings.oidc_issuers]
    who = "There is no login: everyone and every program on this machine can use it"
    if ways:
        who = f"Everyone with {' or '.join(ways)} can use it at {settings.public_url}"
    return " ".join(filter(None, (f"{who}, and {orders}.", why)))


def _user_name() -> str:
    """The account this process runs as, whatever its environment says."""
    if sys.platform == "win32":
        import getpass

        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"user {os.geteuid()}"


@click.command(cls=UntracedCommand)
@click.option("--until-idle", is_flag=True, help="End when no job is under way any more.")
@click.option("--home", default="", hidden=True)
def work(until_idle: bool, home: str) -> None:
    """Work on jobs that are under way, without serving."""
    _choose_log()
    run(partial(_until_idle if until_idle else _for_ever, home))


async def _for_ever(home: str) -> None:
    scope = anyio.CancelScope()
    async with at_signal(lambda _: scope.cancel()), open_jobs(work=True, home=home, patience_s=PATIENCE_S):
        with scope:
            await anyio.sleep_forever()


async def _until_idle(home: str) -> None:
    from ltx_mcp.jobs.handover import alone

    scope = anyio.CancelScope()
    async with at_signal(lambda _: scope.cancel()), open_jobs(home=home, patience_s=PATIENCE_S) as jobs:
        with scope:
            await alone(jobs.home, lambda: jobs.work(until_idle=True), jobs.is_idle)
