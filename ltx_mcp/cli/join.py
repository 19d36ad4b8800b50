"""`join`: several videos become one film on this machine, free of charge."""

from pathlib import Path
from typing import Any

import click

from ltx_mcp.cli.completion import complete_files, complete_media
from ltx_mcp.cli.make import SpokenCommand, examples
from ltx_mcp.cli.options import as_json_option, open_option, options_of
from ltx_mcp.cli.ordering import make
from ltx_mcp.cli.output.output_file import output_options
from ltx_mcp.domain.argument_types import MAX_CAPTION_CHARS
from ltx_mcp.domain.arguments import JoinVideos

SECONDS = click.FloatRange(0.1, 3)
BY_HAND = ("videos", "transition", "transition_seconds", "captions", "titles", "audio", "wait_seconds")


@click.command(
    cls=SpokenCommand,
    epilog=examples(
        "join SHOT SHOT SHOT -o film.mp4",
        "join opening.mp4 JOB@1.5-4 SET/2 --crossfade 0.5 --audio song.mp3",
        'join SHOT SHOT --captions film.srt --title "" --title "The next day"',
    ),
)
@click.argument("videos", metavar="VIDEO...", nargs=-1, shell_complete=complete_media())
@click.option("--crossfade", type=SECONDS, metavar="SECONDS", help="Blend each into the next for so long.")
@click.option("--fade", type=SECONDS, metavar="SECONDS", help="Go through black between them for so long.")
@click.option("--captions", default="", metavar="FILE", shell_complete=complete_files, help="An SRT or WebVTT file.")
@click.option(
    "--title", "titles", multiple=True, metavar="TEXT", help="Shown over the first video; again for the next one."
)
@click.option(
    "--audio",
    default="",
    metavar="FILE",
    shell_complete=complete_media(),
    help="A sound laid under all, such as music: a path, an https URL or a job.",
)
@options_of(JoinVideos, *BY_HAND)
@output_options
@click.option("--new", is_flag=True, help="Join them again, where that was done before.")
@open_option
@as_json_option
def join(crossfade: float | None, fade: float | None, **options: Any) -> None:
    """Join VIDEOs to one film on this machine, and print its path. It costs nothing.

    VIDEO is a path, an https URL or a job, which need not be done yet; behind it @1.5-4 takes only these seconds.
    """
    if crossfade and fade:
        raise click.UsageError("--crossfade does not go with --fade.")
    if len(options["videos"]) < 2:
        raise click.UsageError("Give two VIDEOs or more.")
    options["captions"] = _read_captions(options["captions"])
    options |= {"titles": list(options["titles"]), "videos": list(options["videos"])}
    if seconds := crossfade or fade:
        options |= {"transition": "crossfade" if crossfade else "fade", "transition_seconds": seconds}
    make(JoinVideos, "join_videos", options)


def _read_captions(name: str) -> str:
    """The text of the file."""
    if not name:
        return ""
    try:
        with Path(name).expanduser().open(encoding="utf-8-sig") as file:
            return file.read(MAX_CAPTION_CHARS + 1)
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--captions: {name} is not text in UTF-8.") from error
    except OSError as error:
        raise click.UsageError(f"--captions: {name} cannot be read: {error.strerror}.") from error
