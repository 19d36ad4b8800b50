"""`top`: how a service does, drawn again and again until Ctrl-C."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import click

from ltx_mcp.cli.common import at_signal, open_jobs, run
from ltx_mcp.cli.options import as_json_option
from ltx_mcp.cli.output.overview import drawing_overview, print_overview, to_json
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import print_json

if TYPE_CHECKING:
    from ltx_mcp.jobs.overview import Overview

INTERVAL_S, MIN_INTERVAL_S, MAX_INTERVAL_S = 2.0, 0.2, 3600.0
Draw = Callable[["Overview", str], None]


@click.command()
@click.option("--once", is_flag=True, help="Print it once; so it is where no terminal is and no --interval is given.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(MIN_INTERVAL_S, MAX_INTERVAL_S),
    metavar="S",
    help=f"Seconds from one look to the next.  [default: {INTERVAL_S:g}]",
)
@as_json_option
def top(once: bool, interval_s: float | None, as_json: bool) -> None:
    """Show how a service does, for its operator: live jobs, money, the slowest, unknown outcomes, what ended, webhooks.

    Ctrl-C ends it. With --json each look is one line.
    """
    if interval_s is not None and math.isnan(interval_s):  # which no range refuses
        text = f"{interval_s} is not in the range {MIN_INTERVAL_S}<=x<={MAX_INTERVAL_S}."
        raise click.BadParameter(text, param_hint="'--interval'")
    once = once or (interval_s is None and not is_terminal(sys.stdout))
    try:
        run(partial(_top, INTERVAL_S if interval_s is None else interval_s, once=once, as_json=as_json))
    except* BrokenPipeError:
        # nobody reads any more; what Python would still write at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _top(interval_s: float, *, once: bool, as_json: bool) -> None:
    from ltx_mcp.jobs.store.errors import DatabaseUnavailableError

    scope = anyio.CancelScope()
    async with at_signal(lambda _: scope.cancel()), open_jobs() as jobs:
        reader = jobs.overview()
        with scope, _drawing(once=once, as_json=as_json) as draw:
            seen = await reader.read()
            draw(seen, "")
            while not once:
                await anyio.sleep(interval_s)
                try:
                    seen = await reader.read()
                    draw(seen, "")
                except DatabaseUnavailableError as error:
                    draw(seen, f"{error.message} What follows is from {seen.at:%H:%M:%S} UTC.")


@contextmanager
def _drawing(*, once: bool, as_json: bool) -> Iterator[Draw]:
    if as_json:
        yield _print_line
    elif once or not is_terminal(sys.stdout):
        yield _print_once
    else:
        with drawing_overview() as draw:
            yield draw


def _print_line(seen: "Overview", trouble: str) -> None:
    """What was not read anew is not printed again."""
    if not trouble:
        print_json(to_json(seen))
        sys.stdout.flush()


def _print_once(seen: "Overview", trouble: str) -> None:
    if not trouble:
        print_overview(seen)
        sys.stdout.flush()
