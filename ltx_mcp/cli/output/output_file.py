"""`--output FILE`: a copy of the film where a person wants it, or the film itself on stdout; `--open`: the film in the
system's player."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ltx_mcp.cli.common import agree_or_leave
from ltx_mcp.cli.output.messages import can_ask, say
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.launch import find_program
from ltx_mcp.presentation.result_models import JobView
from ltx_mcp.presentation.set_results import TakeView

STDOUT = "-"
OPENERS = {"darwin": ("open",)}
ELSEWHERE = ("xdg-open", "wslview")
PATIENCE_S = 3.0
"""An opener that has not failed by then is showing the film itself."""


@dataclass(frozen=True)
class Output:
    """Where a film goes, or the takes of a set under numbered names; without a path to stdout. `may_replace`: what is
    there may be replaced."""

    path: Path | None
    may_replace: bool = False

    def put(self, view: JobView | TakeView) -> None:
        """Bring the film there; a file is there whole or not at all. Raises CallerError or SetupError."""
        number, name = (view.take, view.name) if isinstance(view, TakeView) else (0, view.job_id)
        if view.file is None:
            raise CallerError(
                ErrorCode.INPUT_FAILED,
                f"The film of {name} is not on this machine.",
                f"ltx-mcp jobs fetch {name} brings it while its address lives.",
            )
        film = Path(view.file)
        if self.path is None:
            _pour(film)
            return
        target = self.path / film.name if self.path.is_dir() else _numbered(self.path, number)
        try:
            _copy(film, target, may_replace=self.may_replace)
        except OSError as error:
            raise SetupError(
                ErrorCode.STORAGE_FAILED,
                f"{target} could not be written: {error.strerror}.",
                f"The film is not lost: it lies in {film}.",
            ) from error
        print(target, file=sys.stderr if sys.stdout.isatty() else sys.stdout)


def output_options(function: Any) -> Any:
    """`--output` and `--force`."""
    force = click.option("--force", is_flag=True, help="Replace FILE if it is there.")
    output = click.option(
        "-o", "--output", default="", metavar="FILE", help="Copy the film to FILE, which may be a folder; -: to stdout."
    )
    return output(force(function))


def _numbered(path: Path, take: int) -> Path:
    """`kite.mp4` itself, or `kite-2.mp4` for take 2."""
    return path.with_stem(f"{path.stem}-{take}") if take else path


def read_output(text: str, *, force: bool, as_json: bool, nothing: str, takes: int = 1) -> Output | None:
    """Where the film or so many takes are to go, looked at before anything else happens; `nothing` says what then does
    not."""
    if not text:
        return None
    if text == STDOUT:
        if takes > 1:
            raise click.UsageError("--output - takes one film: give a file, which takes are numbered after.")
        if as_json:
            raise click.UsageError("--json and --output - cannot both have stdout.")
        if sys.stdout.isatty():
            raise click.UsageError("--output - would write a film to the terminal: send stdout to a file or a program.")
        return Output(None)
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        return Output(path, force)
    if not path.parent.is_dir():
        raise click.UsageError(f"--output: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError(f"--output: {path.parent} cannot be written.")
    targets = [_numbered(path, take) for take in range(1, takes + 1)] if takes > 1 else [path]
    if there := ", ".join(str(target) for target in targets if target.exists() and not force):
        if not can_ask():
            raise click.UsageError(f"--output: {there} is there already; --force replaces it.")
        agree_or_leave(f"{there} is there already. Replace it?", nothing)
        force = True
    return Output(path, force)


def _pour(film: Path) -> None:
    with film.open("rb") as source, suppress(BrokenPipeError):
        shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _copy(film: Path, target: Path, *, may_replace: bool) -> None:
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with film.open("rb") as source, target.open("wb") as device:  # such as /dev/null: there is nothing to rename
            shutil.copyfileobj(source, device)
        return
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part")
    try:
        with film.open("rb") as source, open(descriptor, "wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        os.chmod(name, 0o666 & ~_umask())
        if may_replace:
            os.replace(name, target)
        else:
            _name_new(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _name_new(name: str, target: Path) -> None:
    """Give it its name, unless somebody has taken that meanwhile."""
    try:
        os.link(name, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if target.exists():
            raise
        os.rename(name, target)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def open_film(path: str | None) -> None:
    """Open it, or say on stderr why not. The player has none of our streams."""
    sys.stdout.flush()
    if path is None or not Path(path).exists():
        problem = "there is no film on this machine"
    else:
        problem = _open_here(path) if sys.platform == "win32" else _open_with(path)
    if problem:
        say(f"ltx-mcp: --open: {problem}.")


def _open_here(path: str) -> str:
    try:
        os.startfile(path)  # type: ignore[attr-defined, unused-ignore]
    except OSError as error:
        return error.strerror or "Windows has no program for it"
    return ""


def _open_with(path: str) -> str:
    names = OPENERS.get(sys.platform, ELSEWHERE)
    opener = next(filter(None, map(find_program, names)), None)
    if opener is None:
        return f"none of {', '.join(names)} is installed" if len(names) > 1 else f"{names[0]} is not there"
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen([opener, path], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        return ""
    except OSError as error:
        return f"{opener} cannot be started: {error.strerror}"
    return f"{Path(opener).name} found no program for it (exit code {code})" if code else ""
