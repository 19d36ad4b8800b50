"""`install` and `uninstall`: our server put into a host's configuration, and taken out again."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ltx_mcp.cli.common import report_errors
from ltx_mcp.cli.hosts.config import check_writable
from ltx_mcp.cli.hosts.edit_plan import EditPlan, difference, make_install, make_uninstall, write
from ltx_mcp.cli.hosts.entry import MODULE, PACKAGE, SERVER, EnvVars, Start, make_entry
from ltx_mcp.cli.hosts.env_vars import Known, hand_on, public_settings, read_known
from ltx_mcp.cli.hosts.launcher import look_around, make_start
from ltx_mcp.cli.hosts.paths import HOSTS, Host, Machine, Scope, System, find_place
from ltx_mcp.cli.options import as_json_option
from ltx_mcp.cli.output.messages import agrees
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import print_json
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.launch import find_program
from ltx_mcp.presentation.config import read_edge, working_folder
from ltx_mcp.settings import environment, home_folder

PRINT = Host("print", "your host", "mcpServers", "${NAME}", "", "start the host again")
SYSTEMS: dict[str, System] = {"win32": "windows", "darwin": "macos"}
COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def _shared(function: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands have."""
    for option in (
        as_json_option,
        click.option("--dry-run", is_flag=True, help="Show the change and write nothing."),
        click.option(
            "--config", default="", metavar="PATH", help="The host's configuration, where it is not the usual one."
        ),
        click.option(
            "--scope",
            type=click.Choice(["user", "project"]),
            default="user",
            show_default=True,
            help="Every project of this user, or the one in the working directory.",
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("host", metavar="HOST", type=click.Choice([*HOSTS, PRINT.name]))
@_shared
@click.option(
    "--key", "keys", multiple=True, metavar="NAME", help="Hand on this variable too, though it is not set. Repeatable."
)
@click.option("--with-values", is_flag=True, help="Write keys as they are, readable in the file, not by name.")
@click.option(
    "--loopback/--no-loopback",
    default=None,
    help="Write addresses of providers that lead to this machine too, such as an emulator's. Asked at a terminal.",
)
@click.option("--yes", is_flag=True, help="Write without being asked, at a terminal too.")
@click.option("--command", default="", metavar="PATH", help="What the host starts, instead of this program.")
@click.option("--force", is_flag=True, help='Also where the host is not found, or has another server "ltx".')
def install(host: str, config: str, scope: Scope, as_json: bool, dry_run: bool, force: bool, **how: Any) -> None:
    """Put this server into HOST's configuration; print: show the entry for any other host.

    Keys that are set now are handed on by the name of their variable. Settings that are set now are written as values.
    At a terminal the change is shown, and you are asked before it is written.
    """
    asks = not (how["yes"] or as_json or dry_run) and is_terminal(sys.stdin) and is_terminal(sys.stdout)
    with report_errors():
        known = read_known(*read_edge(environment=environment()))  # what the keyring has needs no host
        start = _given(how["command"]) if how["command"] else make_start(look_around(environment()))
        chosen = HOSTS.get(host, PRINT)
        with_loopback = _wants_loopback(known, how["loopback"], asks)
        handed, left_out = hand_on(
            known, chosen, how["keys"], with_values=how["with_values"], with_loopback=with_loopback, scope=scope
        )
        loopback = () if with_loopback else known.loopback
        entry = make_entry(chosen, start, handed)
        if chosen is PRINT:
            print(json.dumps({PRINT.table: {SERVER: entry}}, indent=2, ensure_ascii=False))
            _print_steps(
                [*_next_steps(chosen, handed, left_out, known, start), *_loopback_step(loopback, chosen)], sys.stderr
            )
            return
        path = _place(chosen, config, scope, force)
        change = make_install(chosen, path, entry, (*handed.names, *loopback), force=force)
        left_out = tuple(name for name in left_out if name not in change.new.get("env", {}))
        secrets = [name for name in handed.values if name in known.secrets]
        steps = [*_next_steps(chosen, handed, left_out, known, start), *_loopback_step(loopback, chosen)]
        if scope == "project" and not how["command"] and change.is_needed:
            steps.append(f"{start.command} is a path of this machine; others who share the folder may need another.")
        if secrets:
            note = f"{', '.join(secrets)}: readable in {change.config.path} by whoever can read that file."
            print(f"ltx-mcp: warning: {plain_line(note)}", file=sys.stderr)
        if asks and change.is_needed:
            check_writable(change.config)
            _show(change, known.public)
            dry_run = not agrees("Write it? No changes nothing, as --dry-run does.")
        backup = _carry_out(change, bool(secrets), dry_run)
    _report(change, known.public, steps, as_json, dry_run=dry_run, backup=backup, is_shown=asks)


@click.command()
@click.argument("host", metavar="HOST", type=click.Choice([*HOSTS]))
@_shared
@click.option("--force", is_flag=True, help='Also where "ltx" is another server.')
def uninstall(host: str, config: str, scope: Scope, as_json: bool, dry_run: bool, force: bool) -> None:
    """Take this server out of HOST's configuration; everything else in it stays as it is."""
    with report_errors():
        change = make_uninstall(HOSTS[host], _place(HOSTS[host], config, scope, True), force=force)
        backup = _carry_out(change, False, dry_run)
    _report(change, public_settings(), [f"Then {HOSTS[host].after}."], as_json, dry_run=dry_run, backup=backup)


def _given(command: str) -> Start:
    command_path = os.path.expanduser(command)
    found = shutil.which(command_path) if os.path.dirname(command_path) else find_program(command_path)
    if found is None:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"--command {command} is no program that can be started.")
    return Start(str(Path(found).absolute()))


def this_machine() -> Machine:
    """The machine this runs on."""
    home = home_folder()
    if home is None:
        message = "This user has no home folder, so there is no host's configuration to write."
        raise SetupError(ErrorCode.INVALID_REQUEST, message, "Set HOME to the folder that the host takes for it.")
    return Machine(SYSTEMS.get(sys.platform, "linux"), home, environment(), working_folder() or home)


def _place(host: Host, config: str, scope: Scope, absent: bool) -> Path:
    """The file that is named, or the host's own. Raises SetupError where neither is there and `absent` is not."""
    if not config:
        return find_place(host, this_machine(), scope, absent=absent)
    path = Path(os.path.expanduser(config)).absolute()
    if not absent and not path.parent.is_dir():
        raise SetupError(
            ErrorCode.INVALID_REQUEST, f"{path.parent} does not exist.", "Correct --config, or give --force to make it."
        )
    return path


def _carry_out(change: EditPlan, private: bool, dry_run: bool) -> Path | None:
    """Write it unless nothing is to be written; the path of the backup that was made. Raises SetupError also where it
    could not be written."""
    if not change.is_needed:
        return None
    check_writable(change.config)
    return None if dry_run else write(change, private=private)


def _wants_loopback(known: Known, given: bool | None, asks: bool) -> bool:
    """Whether addresses on this machine go into the configuration; without a word of the person they do not."""
    if given is not None or not known.loopback or not asks:
        return bool(given)
    names = ", ".join(f"{name}={known.value(name)}" for name in known.loopback)
    return agrees(f"{names}: on this machine, as an emulator is. Write that too?")


def _loopback_step(loopback: Sequence[str], host: Host) -> list[str]:
    if not loopback:
        return []
    verb, it = ("leads", "it") if len(loopback) == 1 else ("lead", "them")
    are_left_out = "is left out" if it == "it" else "are left out"
    left_out = f"{', '.join(loopback)} {verb} to this machine, as an emulator's do, and {are_left_out}"
    return [f"{left_out}: {host.title} orders at the providers themselves. --loopback writes {it}."]


def _show(change: EditPlan, public: Sequence[str]) -> None:
    """What would be written, as a difference."""
    print(f"{change.host.title} reads {change.config.path}")
    colour = _wants_colour()
    for line in difference(change, public):
        shown = plain_line(line) if line.startswith(("---", "+++")) else line
        click.echo(click.style(shown, fg=COLOURS.get(line[:1])) if colour else shown)


def _report(
    change: EditPlan,
    public: Sequence[str],
    steps: Sequence[str],
    as_json: bool,
    *,
    dry_run: bool,
    backup: Path | None,
    is_shown: bool = False,
) -> None:
    path = change.config.path
    if as_json:
        written = {"changed": change.is_needed, "written": change.is_needed and not dry_run}
        kept = {"backup": str(backup)} if backup else {}
        result = {"diff": [*difference(change, public)], "next": [*steps] if change.is_needed else []}
        print_json({"host": change.host.name, "path": str(path), **written, **kept, **result})
        return
    if not change.is_needed:
        print(f"Already so: {path} {'does not have' if change.new is None else 'has'} this server.")
        return
    if not is_shown:
        _show(change, public)
    if dry_run:
        print("Nothing was written.")
        return
    print("Removed: nothing else was in it." if change.text is None else "Written.", end="")
    print(f" As it was before: {backup}" if backup else "")
    _print_steps(steps, sys.stdout)


def _print_steps(steps: Sequence[str], stream: Any) -> None:
    for step in steps:
        print(plain_line(step), file=stream)


def _next_steps(host: Host, handed: EnvVars, left_out: Sequence[str], known: Known, start: Start) -> list[str]:
    """What a person does next, a line each."""
    steps = [f"Then {host.after}."]
    if handed.names:
        verb = "has" if len(handed.names) == 1 else "have"
        steps.append(f"{', '.join(handed.names)} {verb} to be set where {host.title} starts.")
        if host is PRINT:
            steps.append("A host that does not expand ${NAME} takes the key itself in its place.")
    if left_out:
        steps.append(
            f"{host.title} hands no variable on, so {', '.join(left_out)} is left out: films are previews drawn here. "
            "Use the .mcpb bundle, which asks for keys, or --with-values."
        )
    elif not any(name in known.keys for name in (*handed.names, *handed.values)):
        steps.append("No key is set, so films are previews drawn on this machine. --key NAME hands one on by name.")
    if start.arguments not in ((), MODULE):
        steps.append(f"The first start downloads {PACKAGE}, which can take a minute.")
    return steps


def _wants_colour() -> bool:
    """Whether a terminal would want it; what is no terminal gets none from click."""
    names = environment()
    return not names.get("NO_COLOR") and names.get("TERM") != "dumb"
