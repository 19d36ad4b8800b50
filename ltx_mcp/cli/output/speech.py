"""What is said to a person on stderr, and asked; what draws it is imported only at a terminal."""

import sys

from ltx_mcp.cli.output.streams import is_terminal


def agrees(question: str) -> bool:
    """Whether a person says yes to this; asked on stderr."""
    import click

    from ltx_mcp.cli.output.screen import broken

    return click.confirm(broken(question), err=True)


def say(*sentences: str) -> None:
    """Sentences on stderr: a line each on a terminal, which breaks them between words; else all on one line."""
    if is_terminal(sys.stderr):
        from ltx_mcp.cli.output.screen import print_lines

        print_lines(*sentences)
    else:
        print(" ".join(sentences), file=sys.stderr)
