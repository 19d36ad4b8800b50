"""The folder that is taken away: there complete or not at all, and nothing that is there already is touched."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ltx_mcp.cli.take_away.contents import FILM, Contents
from ltx_mcp.cli.take_away.readme import readme_text
from ltx_mcp.cli.take_away.timeline import timeline_text
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError

README, TIMELINE = "README.md", "film.otio"


def check_place(target: Path) -> None:
    """Raises CallerError where the folder cannot be made."""
    if target.exists() or target.is_symlink():
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{target} is there already.", "Name a folder that is not.")
    if not target.parent.is_dir():
        raise CallerError(ErrorCode.INVALID_REQUEST, f"There is no folder {target.parent}.")


def write_folder(contents: Contents, target: Path) -> list[str]:
    """Write everything and give the names of the files. Raises CallerError or SetupError."""
    check_place(target)
    copies, texts = _copies(contents), _texts(contents, target.name)
    names = [*copies, *texts]
    texts[README] = readme_text(contents, target.name, sorted(names))
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        _fill(beside, copies, texts)
        # somebody may have made it meanwhile; an empty folder would be replaced
        check_place(target)
        os.rename(beside, target)
    except OSError as error:
        message = f"{target} could not be written: {error.strerror or error}."
        raise SetupError(ErrorCode.STORAGE_FAILED, message, "Nothing of it is left there.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return sorted([*names, README])


def _copies(contents: Contents) -> dict[str, Path]:
    """What is copied, by its name in the folder."""
    media = [shot.media for shot in contents.shots] + ([contents.sound] if contents.sound else [])
    pictures = {"poster.jpg": contents.poster, "sheet.jpg": contents.sheet}
    kept = {name: path for name, path in pictures.items() if path}
    return {FILM: contents.path, **kept, **{each.name: each.path for each in media}}


def _texts(contents: Contents, name: str) -> dict[str, str]:
    join = contents.film.offer.join
    captions = join.settings.captions if join else ""
    suffix = "vtt" if captions.lstrip("\ufeff").startswith("WEBVTT") else "srt"
    return {TIMELINE: timeline_text(contents, name)} | ({f"captions.{suffix}": captions} if captions else {})


def _fill(folder: Path, copies: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    for name, source in copies.items():
        _write(folder / name, partial(shutil.copyfile, source))
    for name, text in texts.items():
        _write(folder / name, partial(_write_text, text))


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
