"""Arguments in a sentence about what went wrong, named as they are typed: `--duration`.

A sentence of ours names an argument where it begins or after a colon, and says something of it; anywhere else the same
word is plain English, or a caller's own.
"""

import re
from collections.abc import Mapping

import click

from ltx_mcp.cli.output.text import ARGUMENTS, option_name

_NAME = "|".join(sorted({*ARGUMENTS, "prompt"}, key=len, reverse=True))
_SAID = "|".join(
    (
        r":",
        r" (?:should|takes|lasts|has|must|is required|is taken|are not|is not (?:offered|one of|an argument))\b",
        r" \S+ is not offered",
        r" \S+ with \w+ \S+ ",
        r" or \w+ is required",
        r"(?:, \w+)* do(?:es)? not belong",
        r" \S+ does not belong",
        r" [\d.]+(?: to |[,;.]| at | in |$)",
        r" up to ",
    )
)
NAMED = re.compile(rf"(?P<before>^|[.;:] (?:or )?| with | or |, )(?P<name>{_NAME})(?=(?P<said>{_SAID}))")


def name_options(text: str) -> str:
    """The sentence as the command that runs now calls its arguments; without one by their options."""
    context = click.get_current_context(silent=True)
    return rename(text, names_of(context.command) if context else {})


def names_of(command: click.Command) -> dict[str, str]:
    """How a command calls each argument of a tool; what it takes by its place keeps its word."""
    return {
        parameter.name: max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.name
        for parameter in command.params
        if parameter.name
    }


def rename(text: str, names: Mapping[str, str]) -> str:
    """With the names of a command; an argument that it does not have is an option all the same."""

    def named(found: re.Match[str]) -> str:
        before, name = found["before"], found["name"]
        is_of_another = before == ": " and re.search(rf"(?:^|[ .])(?:{_NAME}|\w+_\w+)$", text[: found.start()])
        return found[0] if is_of_another else before + names.get(name, option_name(name))

    return NAMED.sub(named, text)
