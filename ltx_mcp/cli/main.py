"""The command line: which commands there are. Each one's file is imported only when it runs."""

import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ltx_mcp import __version__
from ltx_mcp.cli.streams import adapt_streams
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
    "estimate": ("ltx_mcp.cli.prices", "Show what a video would cost."),
    "models": ("ltx_mcp.cli.prices", "Show what can be ordered."),
    "jobs": ("ltx_mcp.cli.jobs", "List jobs, show one, or cancel some."),
    "cancel": ("ltx_mcp.cli.cancel", "Cancel a job, or all that are under way."),
    "open": ("ltx_mcp.cli.films", "Open the film of a job in the system's player."),
    "rm": ("ltx_mcp.cli.films", "Remove the film of a job from this machine."),
    "login": ("ltx_mcp.cli.login", "Keep a provider's key in the system's keyring."),
    "logout": ("ltx_mcp.cli.login", "Take it out again."),
    "doctor": ("ltx_mcp.cli.doctor", "Say what is there and what is missing."),
    "install": ("ltx_mcp.cli.install", "Put this server into the configuration of an MCP host."),
    "uninstall": ("ltx_mcp.cli.install", "Take it out again."),
    "emulate": ("ltx_mcp.cli.emulate", "Serve emulated providers on this machine, where nothing costs."),
    "completion": ("ltx_mcp.cli.completion", "Print what lets a shell complete commands with TAB."),
}
EXIT_CODES = (
    "Exit codes: 0 done, 2 the request cannot be used, 3 refused by settings, budget or disk, "
    "4 still running, 5 failed or cancelled, 6 outcome unknown."
)
INTERRUPTED = 130
QUOTED = re.compile(r"'(.{81,})'", re.DOTALL)
"""What click repeats of a command line."""


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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Names and options, without importing any command."""
        from click.shell_completion import CompletionItem

        begun = [(name, text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=text) for name, text in begun), *options]

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
        message = QUOTED.sub(lambda given: quote(given[1]), error.format_message()).rstrip(".")
        print(f"ltx-mcp: {message}. {command} --help shows what can be given.", file=sys.stderr)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
