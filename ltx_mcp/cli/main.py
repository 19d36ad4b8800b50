"""The command line: which commands there are. Each one's file is imported only when it runs."""

import re
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ltx_mcp import __version__
from ltx_mcp.cli.output.streams import adapt_streams
from ltx_mcp.domain.quoting import quote

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "serve": ("ltx_mcp.cli.serve", "Serve MCP over stdio, or over HTTP with --http."),
    "work": ("ltx_mcp.cli.serve", "Work on jobs that are under way, without serving."),
    "generate": ("ltx_mcp.cli.make", "Make a video from a prompt."),
    "animate": ("ltx_mcp.cli.make", "Make a video from a picture."),
    "from-audio": ("ltx_mcp.cli.make", "Make a video from a sound."),
    "extend": ("ltx_mcp.cli.make", "Make a video longer."),
    "retake": ("ltx_mcp.cli.make", "Redo a section of a video."),
    "reframe": ("ltx_mcp.cli.make", "Make a vertical, square or wide version of a video."),
    "join": ("ltx_mcp.cli.join", "Join videos to one film, free of charge."),
    "film": ("ltx_mcp.cli.film", "Take a film away with its shots, for an editor."),
    "estimate": ("ltx_mcp.cli.prices", "Show what a video would cost."),
    "models": ("ltx_mcp.cli.prices", "Show what can be ordered."),
    "jobs": ("ltx_mcp.cli.jobs", "List jobs, show one, or cancel some."),
    "top": ("ltx_mcp.cli.operate.top", "Show how a service does, drawn again and again."),
    "cancel": ("ltx_mcp.cli.cancel", "Cancel a job, or all that are under way."),
    "open": ("ltx_mcp.cli.films", "Open the film of a job in the system's player."),
    "rm": ("ltx_mcp.cli.films", "Remove the film of a job from this machine."),
    "login": ("ltx_mcp.cli.login", "Keep a provider's key in the system's keyring."),
    "logout": ("ltx_mcp.cli.login", "Take it out again."),
    "token": ("ltx_mcp.cli.token", "Make a token for a caller of a shared service."),
    "migrate": ("ltx_mcp.cli.migrate", "Bring a large shared database to the form of this version."),
    "restored": ("ltx_mcp.cli.migrate", "Say that the database was restored from a backup."),
    "doctor": ("ltx_mcp.cli.doctor", "Say what is there and what is missing."),
    "install": ("ltx_mcp.cli.install", "Put this server into the configuration of an MCP host."),
    "uninstall": ("ltx_mcp.cli.install", "Take it out again."),
    "emulate": ("ltx_mcp.cli.emulate", "Serve emulated providers on this machine, where nothing costs."),
    "completion": ("ltx_mcp.cli.completion", "Print what lets a shell complete commands with TAB."),
}
BELOW_JOBS = ("show", "cancel", "resolve", "adopt")
OTHERS_SAY = {
    **dict.fromkeys(("create", "make", "video", "new", "text"), "generate"),
    **dict.fromkeys(("image", "picture"), "animate"),
    **dict.fromkeys(("audio", "sound", "music"), "from-audio"),
    **dict.fromkeys(("crop", "resize", "vertical", "square"), "reframe"),
    **dict.fromkeys(("concat", "merge", "stitch", "combine"), "join"),
    **dict.fromkeys(("export", "bundle", "package"), "film"),
    **dict.fromkeys(("price", "prices", "cost", "quote"), "estimate"),
    **dict.fromkeys(("list", "ls", "history"), "jobs"),
    **dict.fromkeys(("status", "info", "check"), "jobs show"),
    **dict.fromkeys(("stop", "kill", "abort"), "jobs cancel"),
    **dict.fromkeys(("setup", "add"), "install"),
    **dict.fromkeys(("start", "server", "mcp"), "serve"),
    "help": "--help",
    "version": "--version",
}
"""What other programs call it."""
EXIT_CODES = (
    "Exit codes: 0 done, 2 the request cannot be used, 3 refused by settings, budget or disk, "
    "4 still running, 5 failed or cancelled, 6 outcome unknown."
)
INTERRUPTED = 130
QUOTED = re.compile(r"(['\"])((?:(?!\1).){81,})\1", re.DOTALL)
"""What click repeats of a command line."""


def _meant(name: str) -> str:
    """The command that may be meant, as it is typed; empty where none is like it."""
    known = dict.fromkeys(COMMANDS, "") | {word: f"jobs {word}" for word in BELOW_JOBS} | OTHERS_SAY
    like = get_close_matches(name.lower(), known, 1, 0.7)
    return known[like[0]] or like[0] if like else ""


class LazyGroup(click.Group):
    """Knows its commands by name and loads the one that is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All names, in the order of help."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command itself."""
        if name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[name][0]), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command itself. Raises NoSuchCommand with those that may be meant."""
        try:
            return super().resolve_command(context, args)
        except click.NoSuchCommand as error:
            meant = _meant(error.command_name)
            message = f"{error.message} Did you mean '{meant}'?" if meant else None
            raise click.NoSuchCommand(error.command_name, message, ctx=context) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Names and options, without importing any command."""
        from click.shell_completion import CompletionItem

        prefix = [(name, text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=text) for name, text in prefix), *options]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Help without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="ltx-mcp", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """LTX videos for LLM agents. Without a command: the MCP server on stdin and stdout."""
    if context.invoked_subcommand is None:
        command = cli.get_command(context, "serve")
        assert command is not None
        context.invoke(command)


def start() -> None:
    """Run what the command line says. A usage error is one line and exit code 2."""
    adapt_streams()
    try:
        sys.exit(cli.main(prog_name="ltx-mcp", standalone_mode=False))
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "ltx-mcp"
        message = QUOTED.sub(lambda given: quote(given[2]), error.format_message())
        end = "" if message.endswith(("?", ".", ")")) else "."
        print(f"ltx-mcp: {message}{end} {command} --help shows what can be given.", file=sys.stderr)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
