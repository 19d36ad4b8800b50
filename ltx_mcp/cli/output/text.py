"""How the commands speak: names of commands and options instead of tools and arguments, one line a thing, JSON."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.domain.arguments import OPERATIONS, Arguments, EstimateCost
from ltx_mcp.domain.quoting import plain_line

COMMANDS = {
    "generate_video": "ltx-mcp generate",
    "animate_image": "ltx-mcp animate",
    "generate_from_audio": "ltx-mcp from-audio",
    "extend_video": "ltx-mcp extend",
    "retake_video": "ltx-mcp retake",
    "reframe_video": "ltx-mcp reframe",
    "join_videos": "ltx-mcp join",
    "estimate_cost": "ltx-mcp estimate",
    "check_job": "ltx-mcp jobs show",
    "cancel_job": "ltx-mcp jobs cancel",
    "list_jobs": "ltx-mcp jobs",
    "ltx://models": "ltx-mcp models",
}
MODELS: tuple[type[Arguments], ...] = (*OPERATIONS, EstimateCost)
ARGUMENTS = {name for model in MODELS for name in model.model_fields if name != "prompt"}
# not inside a path, a quotation or a longer word: those are the caller's own words
SPOKEN = re.compile(
    r"(?<![\w/.'\"-])(?:(" + "|".join(map(re.escape, COMMANDS)) + r")(?!\w)"
    r"|(" + "|".join(sorted(ARGUMENTS, key=len, reverse=True)) + r")(?:(=)|(?!\w)))"
)
# A sentence of ours names an argument where it begins or after a colon, and says something of it; anywhere else the
# same word is plain English, or a caller's own.
NAME = "|".join(sorted({*ARGUMENTS, "prompt"}, key=len, reverse=True))
FOLLOWS = "|".join(
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
NAMED = re.compile(rf"(?P<before>^|[.;:] (?:or )?| with | or |, )(?P<name>{NAME})(?=(?P<said>{FOLLOWS}))")


def spoken(text: str) -> str:
    """A sentence written for an agent, as a person at a terminal can follow it, on one line."""
    return plain_line(SPOKEN.sub(_as_typed, text))


def _as_typed(found: re.Match[str]) -> str:
    if found[1]:
        return COMMANDS[found[1]]
    # a single word such as `duration` is also plain English; with `=` or `_` it can only be the argument
    if not found[3] and "_" not in found[2]:
        return found[0]
    return option_name(found[2]) + (" " if found[3] else "")


def option_name(argument: str) -> str:
    """What an argument of a tool is called on the command line."""
    return f"--{argument.replace('_', '-')}"


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
        is_of_another = before == ": " and re.search(rf"(?:^|[ .])(?:{NAME}|\w+_\w+)$", text[: found.start()])
        return found[0] if is_of_another else before + names.get(name, option_name(name))

    return NAMED.sub(named, text)


def age(at: datetime, now: datetime) -> str:
    """How long ago, in its largest whole unit: 42 s, 3 min, 2 h, 5 d."""
    seconds = max(0, int((now - at).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def print_json(value: Any) -> None:
    """One JSON document on stdout, readable where the terminal's encoding allows it."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(value, ensure_ascii=not unicode))


def print_table(rows: Sequence[Mapping[str, str]], expendable: Sequence[str] = ()) -> None:
    """Rows under their names, never cut or boxed; the last column may be long. On a terminal what fits it, without the
    `expendable` columns if need be."""
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.output.screen import draw_table

        draw_table(rows, expendable)
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[name.upper() for name in names], *([plain_line(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
