"""Commands whose words may begin with a dash, as a list or a line of dialogue does: "- a scene of snow"."""

import re

import click

MARK = "\N{WORD JOINER}\N{WORD JOINER}"
WITH_VALUE = re.compile(r"--[\w-]+=")
HINT = "Before words that begin with a dash, put --."


class SpokenCommand(click.Command):
    """A command that takes a prompt by its place."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read options and words; what begins with a dash and holds a blank is words."""
        marked = [f"{MARK}{each}" if _is_words(each) else each for each in args]
        try:
            rest = super().parse_args(ctx, marked)
        except click.NoSuchOption as error:
            raise click.UsageError(f"{error.format_message()} {HINT}", ctx) from error
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(MARK)
        return rest


def _is_words(text: str) -> bool:
    return text.startswith("-") and len(text.split()) > 1 and not WITH_VALUE.match(text)
