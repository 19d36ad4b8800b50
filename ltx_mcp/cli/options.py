"""Options made from the arguments of a tool, so that the terminal and the tools never differ."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ltx_mcp.cli.completion import completer_of
from ltx_mcp.cli.output.text import option_name

M = TypeVar("M", bound=BaseModel)

HELP = {
    "duration": "Length in seconds; ltx-mcp models shows what is allowed.",
    "resolution": "Length of the short side.",
    "aspect_ratio": "Shape of the film.",
    "fps": "Frames per second.",
    "generate_audio": "With sound or silent.",
    "camera_motion": "How the camera moves, where that is offered.",
    "provider": "Who makes it. auto: the cheapest that is configured.",
    "model": "What makes it. auto: any.",
    "adjust": "nearest: duration, fps, resolution or the picture's format may be changed to what is offered.",
    "max_cost_usd": "Refuse where more may be charged; 0: only what is free. Left out: no cap.",
    "request_key": "Your name for this video: the same key always gives the same job.",
    "end_image": "Last frame, given like IMAGE.",
    "audio": "The sound, for audio_to_video: a path, an https URL or a job.",
    "video": "The video, for extend, retake and reframe: a path, an https URL or a job.",
    "context": "Seconds of the video that an extension looks at; 0: as many as fit.",
    "image": "First frame: a path, an https URL or a frame of a job, such as JOB#last.",
    "prompt": "What to film; - reads it from stdin.",
    "mode": "Where to add, or what to redo.",
    "start_time": "Second of VIDEO at which to begin.",
    "operation": "What to price.",
    "count": "How many such videos.",
    "takes": "So many versions to choose from, each ordered and charged: 1 to 6.",
    "seed": "A whole number: the same again looks the same, where that is offered.",
    "audio_level": "How loud the --audio is that is laid under all, 0.05 to 1.",
    "burn_captions": "Draw the captions into the picture too, or only add them as a track.",
}

SHORT = {"duration": "-d", "resolution": "-r", "aspect_ratio": "-a", "provider": "-p", "model": "-m"}
"""What is typed most often."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _or_of_group(context: click.Context, parameter: click.Parameter, given: str) -> str:
    """What stands behind the command, or before it: `jobs --caller NAME show JOB`. The * of the callers file is not
    needed: no name ends before it."""
    whose = given or (context.parent.params.get("whose", "") if context.parent else "")
    return whose[:-1] if whose.endswith(("|*", "/*")) else whose


caller_option = click.option(
    "--caller",
    "whose",
    default="",
    metavar="NAME",
    callback=_or_of_group,
    help="As an operator: of this caller, of all, or of those whose names begin so, up to a | or /.",
)
open_option = click.option("--open", "wants_open", is_flag=True, help="Open the film in the system's player.")


LEFT_OUT = ("", "0")
"""What stands for a choice that was not made."""
AS_MOST = " Left out: as most of the videos."
WIDEST = 62
"""Letters of choices that still stand on one line of a help page."""
AUTO = {
    "aspect_ratio": " auto: the offered one nearest to IMAGE.",
    "duration": " auto: the model chooses, where it can.",
}


def options_of(model: type[BaseModel], *hidden: str) -> Callable[[Any], Any]:
    """One option for each argument of `model` but the `hidden` ones, with its default; the values stay text."""

    def add(function: Any) -> Any:
        for name, field in reversed(model.model_fields.items()):
            if name not in hidden:
                function = _option(name, field)(function)
        return function

    return add


def _option(name: str, field: FieldInfo) -> Callable[[Any], Any]:
    choices = _choices(field.annotation)
    choices = [] if choices == ["NUMBER"] else choices
    can_be_left_out = any(each in LEFT_OUT for each in choices)
    choices = [each for each in choices if each not in LEFT_OUT]
    text = HELP[name] + (AS_MOST if can_be_left_out else "") + (AUTO.get(name, "") if "auto" in choices else "")
    if field.annotation is bool:
        both = f"{option_name(name)}/--no-{name.replace('_', '-')}"
        return click.option(both, default=field.default, show_default=True, help=text)
    default = "" if field.is_required() or field.default is None else str(field.default)
    free = "TEXT" if field.annotation is str else "NUMBER"
    metavar = f"[{'|'.join(choices)}]" if choices else free
    if len(metavar) > WIDEST:
        metavar, text = "WORD", f"{text} One of {', '.join(choices)}."
    words = completer_of(name, choices)
    flags = (SHORT[name], option_name(name)) if name in SHORT else (option_name(name),)
    given: dict[str, Any] = {"default": default, "show_default": default not in LEFT_OUT}
    given = {"required": True} if field.is_required() else given
    return click.option(*flags, help=text, metavar=metavar, shell_complete=words, **given)


def _choices(annotation: Any) -> list[str]:
    """The words an argument may be, in the order they are written; none where it is free."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if annotation is float:
        return ["NUMBER"]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def read_options(model: type[M], tool: str, options: dict[str, Any]) -> M:
    """The request. Raises CallerError in the words `tool` would use."""
    try:
        return model.model_validate(options)
    except ValidationError:
        # brings the SDK with it, which only a refusal can wait for
        from ltx_mcp.server.arguments import read_arguments

        read: M = read_arguments(model, tool, options)
        return read
