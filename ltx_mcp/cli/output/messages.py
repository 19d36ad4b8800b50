"""What is said and asked on stderr: sentences, questions, errors. What draws them is imported only at a terminal."""

import logging
import sys

from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.presentation.json_logs import is_json, log_said


def say(*sentences: str) -> None:
    """Sentences on stderr: a line each on a terminal, which breaks them between words; else all on one line, or where
    the log is JSON as a record of it."""
    if is_json():
        log_said(" ".join(sentences))
    elif is_terminal(sys.stderr):
        from ltx_mcp.cli.output.screen import make_console, piece

        console = make_console(stderr=True)
        for sentence in sentences:
            console.print(piece(console, sentence))
    else:
        print(" ".join(sentences), file=sys.stderr)


def can_ask() -> bool:
    """Whether a person is there who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agrees(question: str) -> bool:
    """Whether a person says yes to this; asked on stderr."""
    import click

    from ltx_mcp.cli.output.screen import broken

    return click.confirm(broken(question), err=True)


def print_error(code: str, message: str, hint: str) -> None:
    """One line on stderr; on a terminal the code in colour, and what to do about it on a line of its own."""
    if is_json():
        log_said(f"{code}: {message} {hint}".rstrip(), logging.ERROR)
        return
    if not is_terminal(sys.stderr):
        print(f"ltx-mcp: {code}: {message} {hint}".rstrip(), file=sys.stderr)
        return
    from rich.text import Text

    from ltx_mcp.cli.output.screen import make_console, piece

    console = make_console(stderr=True)
    console.print(Text.assemble("ltx-mcp: ", piece(console, code, "bold red"), ": ", piece(console, message)))
    if hint:
        console.print(piece(console, hint, "dim"))
