"""`emulate`: the providers' APIs on a loopback port of this machine, for trying ltx-mcp without a key or a cent."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltx_mcp.cli.common import at_signal, listen, run
from ltx_mcp.domain.errors import ErrorCode, SetupError

if TYPE_CHECKING:
    import uvicorn

HOST, PORT = "127.0.0.1", 8100
FILE = click.Path(exists=True, dir_okay=False)
SECONDS = click.FloatRange(min=0)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
@click.option("--wait", type=SECONDS, default=0.5, show_default=True, help="Seconds an order waits in the queue.")
@click.option("--work", type=SECONDS, default=1.5, show_default=True, help="Seconds an order is worked on.")
@click.option(
    "--films", type=click.Path(file_okay=False, path_type=Path), help="Where drawn films are kept.  [default: a cache]"
)
@click.option("--tls-cert", type=FILE, help="Certificate to speak HTTPS with; needs --tls-key.")
@click.option("--tls-key", type=FILE, help="Its key.")
def emulate(port: int, wait: float, work: float, films: Path | None, tls_cert: str | None, tls_key: str | None) -> None:
    """Serve emulated providers on this machine, where nothing costs.

    Prints the settings that point ltx-mcp at them, ready for a shell.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key need each other.")
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    run(partial(_emulate, port, wait, work, films, tls))


async def _emulate(port: int, wait_s: float, work_s: float, films: Path | None, tls: tuple[str, str] | None) -> None:
    with listen(HOST, port) as listener:
        import platformdirs
        import uvicorn

        from ltx_mcp.emulator import app

        base_url = f"{'https' if tls else 'http'}://{HOST}:{listener.getsockname()[1]}"
        folder = films or Path(platformdirs.user_cache_dir("ltx-mcp")) / "films"
        world = app.make_state(wait_s=wait_s, work_s=work_s)
        config = app.make_web(app.make_app(world, folder, base_url), tls)
        _load(config)
        web = uvicorn.Server(config)

        def leave(_: object) -> None:
            web.should_exit = True

        async with at_signal(leave):
            _print_settings(base_url, app.settings(base_url))
            await web.serve(sockets=[listener])


def _load(config: "uvicorn.Config") -> None:
    """Read the certificate, if there is one. Raises SetupError."""
    try:
        config.load()
    except OSError as error:
        message = f"The certificate and its key cannot be used: {error.strerror or error}."
        raise SetupError(ErrorCode.INVALID_REQUEST, message) from error


def _print_settings(base_url: str, settings: dict[str, str]) -> None:
    """The settings on stdout, ended by a blank line; one sentence for a person on stderr."""
    for name, value in settings.items():
        print(f"export {name}={shlex.quote(value)}")
    print(flush=True)
    print(
        f"ltx-mcp emulates the providers at {base_url}: nothing is ordered and nothing costs; Ctrl-C ends it.",
        file=sys.stderr,
        flush=True,
    )
