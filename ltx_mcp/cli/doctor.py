"""`doctor`: what is there, a line each: OK, warning or failure, with what mends it. Looks, and changes nothing."""

import asyncio
import platform
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial

import anyio
import click

from ltx_mcp import __version__
from ltx_mcp.cli.checks.finding import Finding, Group, absent, warning
from ltx_mcp.cli.checks.settings import Given, check_money, read_given
from ltx_mcp.cli.checks.timeouts import patient_loop, within
from ltx_mcp.cli.common import run
from ltx_mcp.cli.options import as_json_option
from ltx_mcp.cli.output.text import print_json
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.settings import environment, home_folder

STYLES = {"OK": "green", "–": "dim", "warning": "yellow", "failure": "bold red"}
PART_S = 9.0
"""How long any part may take; all run at once."""
WIDTHS = (40, 120)
INDENT = " " * 9
Look = Callable[[], Awaitable[Sequence[Finding]]]


@click.command()
@as_json_option
@click.option("--offline", is_flag=True, help="Ask no provider.")
def doctor(as_json: bool, offline: bool) -> None:
    """Say what is there and what is missing; exit code 1 when something fails."""
    groups = run(partial(_look, offline))
    lines = [line for group in groups for line in group.lines]
    if as_json:
        print_json([_to_json(line) for line in lines])
    else:
        _print(groups)
    raise SystemExit(int(any(line.status == "failure" for line in lines)))


def _to_json(line: Finding) -> dict[str, str]:
    """For a program: what need not be there is as good as what is."""
    return asdict(line) | {"status": "OK" if line.status == "–" else line.status}


async def _look(offline: bool) -> list[Group]:
    """All parts at once, so that the slowest decides how long it takes."""
    patient_loop()
    given = read_given(environment())
    settings = Group("Settings", (*given.lines, *check_money(given)))
    return [settings, *await asyncio.gather(*(_part(title, look) for title, look in _parts(given, offline).items()))]


def _parts(given: Given, offline: bool) -> dict[str, Look]:
    async def providers() -> Sequence[Finding]:
        from ltx_mcp.cli.checks.providers import check_providers

        return await check_providers(given, offline=offline)

    async def state() -> Sequence[Finding]:
        from ltx_mcp.cli.checks.state import check_state

        return await check_state(given.settings)

    async def machine() -> Sequence[Finding]:
        from ltx_mcp.cli.checks.machine import check_machine

        return await check_machine()

    async def hosts() -> Sequence[Finding]:
        from ltx_mcp.cli.checks.hosts import check_hosts

        if (home := home_folder()) is None:
            return [absent("hosts", "not looked for: this user has no home folder")]
        looked = (platform.system(), home, given.settings.environment, given.catalog.providers)
        return await within(PART_S, check_hosts, *looked)

    async def logins() -> Sequence[Finding]:
        from ltx_mcp.cli.checks.logins import check_logins

        return await check_logins(given, offline=offline)

    parts: dict[str, Look] = {"Providers": providers, "State": state, "This machine": machine, "Hosts": hosts}
    is_shared = given.settings.has_login or given.settings.callers_file
    return parts | ({"Logins": logins} if is_shared else {})


async def _part(title: str, look: Look) -> Group:
    try:
        with anyio.fail_after(PART_S):
            return Group(title, tuple(await look()))
    except TimeoutError:
        late = warning(title.lower(), f"not looked at within {PART_S:g} s", "Run ltx-mcp doctor again.")
        return Group(title, (late,))


def _print(groups: Sequence[Group]) -> None:
    from rich.text import Text

    from ltx_mcp.cli.output.screen import make_console

    console = make_console()
    width = min(max(console.width, WIDTHS[0]), WIDTHS[1]) if console.is_terminal else 0

    def say(*pieces: str | tuple[str, str]) -> None:
        # soft_wrap: the width is kept by _rows, and a path is not to be broken
        console.print(Text.assemble(*pieces), soft_wrap=True)

    say(f"ltx-mcp {__version__}, Python {platform.python_version()}, {platform.system()}")
    for group in groups:
        say((f"\n{group.title}", "bold"))
        for line in group.lines:
            first, *rest = _rows(line, width)
            say((f"{line.status:<8} ", STYLES[line.status]), first)
            for row in rest:
                say(row)
    say(f"\n{_summary([line for group in groups for line in group.lines])}")


def _rows(line: Finding, width: int) -> list[str]:
    """A line as it is printed, its status left out: wrapped where a terminal is `width` wide, whole where that is 0."""
    texts = [f"{line.what}: {plain_line(line.found)}", *([f"-> {plain_line(line.mend)}"] if line.mend else [])]
    if not width:
        return [texts[0], *(INDENT + text for text in texts[1:])]
    wrapper = textwrap.TextWrapper(width, initial_indent=INDENT, break_long_words=False, break_on_hyphens=False)
    rows = []
    for text in texts:
        wrapper.subsequent_indent = INDENT + ("   " if text.startswith("->") else "  ")
        rows += wrapper.wrap(text)
    return [rows[0].removeprefix(INDENT), *rows[1:]]


def _summary(lines: Sequence[Finding]) -> str:
    counts = {word: sum(line.status == word for line in lines) for word in ("failure", "warning")}
    parts = [f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items() if count]
    return f"{' and '.join(parts)}." if parts else "All is well."
