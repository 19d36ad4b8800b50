"""The commands that make a video: `generate`, `animate`, `from-audio`, `extend`, `retake` and `reframe`.

A prompt may begin with a dash, as a list or a line of dialogue does: "- a scene of snow".
"""

import re
from typing import Any

import click

from ltx_mcp.cli.completion import complete_media
from ltx_mcp.cli.options import as_json_option, open_option, options_of
from ltx_mcp.cli.ordering import make
from ltx_mcp.cli.output.output_file import output_options
from ltx_mcp.cli.untraced import UntracedCommand
from ltx_mcp.domain.arguments import (
    AnimateImage,
    ExtendVideo,
    GenerateFromAudio,
    GenerateVideo,
    ReframeVideo,
    RetakeVideo,
)

MARK = "\N{WORD JOINER}\N{WORD JOINER}"
WITH_VALUE = re.compile(r"--[\w-]+=")
HINT = "Before words that begin with a dash, put --."


class SpokenCommand(UntracedCommand):
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


def _paid(function: Any) -> Any:
    """The options of every command that may cost something."""
    yes = click.option("--yes", is_flag=True, help="Agree to a price above LTX_MCP_CONFIRM_ABOVE_USD.")
    new = click.option("--new", is_flag=True, help="Order another one of what was made before.")
    return output_options(yes(new(open_option(as_json_option(function)))))


def examples(*lines: str) -> str:
    """What stands below a help page."""
    return "\b\nExamples:\n" + "\n".join(f"  ltx-mcp {line}" for line in lines)


@click.command(
    cls=SpokenCommand,
    epilog=examples(
        'generate "a red kite over the dunes at dawn"',
        'generate "rain on a tin roof" --duration 8 --resolution 1440p --open',
        'generate "a pond" --provider local --json',
    ),
)
@click.argument("prompt")
@options_of(GenerateVideo, "prompt", "wait_seconds")
@_paid
def generate(**options: Any) -> None:
    """Make a video from PROMPT and print the path of the film. PROMPT - reads it from stdin."""
    make(GenerateVideo, "generate_video", options)


@click.command(
    cls=SpokenCommand,
    epilog=examples(
        'animate pier.png "waves roll in"',
        'animate JOB#last "she turns and walks away"',
    ),
)
@click.argument("image", shell_complete=complete_media("#last"))
@click.argument("prompt")
@options_of(AnimateImage, "prompt", "image", "wait_seconds")
@_paid
def animate(**options: Any) -> None:
    """Make a video that starts from IMAGE and follows PROMPT, and print the path of the film.

    IMAGE is a path, an https URL or a frame of another job, such as JOB#last. PROMPT - reads it from stdin.
    """
    make(AnimateImage, "animate_image", options)


@click.command(
    "from-audio",
    cls=UntracedCommand,
    epilog=examples(
        'from-audio song.mp3 --prompt "a choir in a stone church"',
        "from-audio voice.wav --image portrait.png",
    ),
)
@click.argument("audio", shell_complete=complete_media())
@options_of(GenerateFromAudio, "audio", "wait_seconds")
@_paid
def from_audio(**options: Any) -> None:
    """Make a video as long as AUDIO, which becomes its sound, and print the path of the film.

    AUDIO is a path, an https URL or a job, whose sound is taken. Give --prompt, --image or both.
    """
    make(GenerateFromAudio, "generate_from_audio", options)


@click.command(
    cls=UntracedCommand,
    epilog=examples(
        "extend kite.mp4 --duration 5",
        'extend JOB --prompt "the tide comes in" --mode start',
    ),
)
@click.argument("video", shell_complete=complete_media())
@options_of(ExtendVideo, "video", "wait_seconds")
@_paid
def extend(**options: Any) -> None:
    """Make VIDEO longer at its end or its start and print the path of the film.

    VIDEO is a path, an https URL or a job. The new seconds and the context are charged.
    """
    make(ExtendVideo, "extend_video", options)


@click.command(
    cls=UntracedCommand,
    epilog=examples(
        'retake JOB --start-time 2 --duration 3 --prompt "the kite falls"',
        "retake take.mp4 --start-time 0 --duration 2 --mode replace_audio",
    ),
)
@click.argument("video", shell_complete=complete_media())
@options_of(RetakeVideo, "video", "wait_seconds")
@_paid
def retake(**options: Any) -> None:
    """Redo a section of VIDEO and print the path of the film. The whole of VIDEO is charged.

    VIDEO is a path, an https URL or a job.
    """
    make(RetakeVideo, "retake_video", options)


@click.command(
    cls=UntracedCommand,
    epilog=examples(
        "reframe JOB --aspect-ratio 9:16",
        "reframe film.mp4 --aspect-ratio 1:1 --resolution 720p --provider local",
    ),
)
@click.argument("video", shell_complete=complete_media())
@options_of(ReframeVideo, "video", "wait_seconds")
@_paid
def reframe(**options: Any) -> None:
    """Make a version of VIDEO in another shape and print the path of the film. The whole of VIDEO is charged.

    VIDEO is a path, an https URL or a job. Its length, its rate and its sound stay.
    """
    make(ReframeVideo, "reframe_video", options)
