"""The films, sounds and pictures that orders are made from: small real files, each made once a run. Not a test."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from ltx_mcp.domain.media_reference import LocalPath
from ltx_mcp.domain.request import Input, kind_of
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.inputs import InputReader
from tests.emulator.made import film, tone

WIDE, TALL = (640, 360), (360, 640)
FILMS: dict[str, Callable[[], bytes]] = {
    "wide.mp4": partial(film, size=WIDE, frames=80),
    "tall.mp4": partial(film, size=TALL, fps=24, frames=77),
    "fast.mp4": partial(film, size=WIDE, fps=50, frames=150),
    "full.mp4": partial(film, size=(1920, 1080), frames=80),
    "small.mp4": partial(film, frames=80, sound=False),
    "silent.mp4": partial(film, size=WIDE, frames=80, sound=False),
    "short.mp4": partial(film, size=WIDE, frames=72),
    "square.mp4": partial(film, size=(360, 360), frames=80),
    "long.mp4": partial(film, fps=5, frames=210),
    "longer.mp4": partial(film, fps=5, frames=301),
    "many.mp4": partial(film, fps=50, frames=1801),
    "tiny.mp4": partial(film, size=(320, 62), frames=80),
    "broad.mp4": partial(film, size=(4098, 64), frames=80),
    "wide.mov": partial(film, "mov", size=WIDE, frames=75),
    "wide.mkv": partial(film, "mkv", size=WIDE, frames=75),
}
"""3.2 s of 25, 24, 50 frames a second; 72 frames, one less than LTX takes; 42 s and 60.2 s; 1801 frames; and edges that
are too short and too long for a new shape."""
CODECS = {"hevc": "libx265", "flac": "flac", "mp3": "libmp3lame"}


class Clips:
    """A folder of them. A sound is named by its seconds and form, `3.5.mp3`; a codec may stand between."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """The file of this name."""
        path = self.folder / name
        if not path.exists():
            if name in ("wide.png", "tall.png"):
                Image.effect_noise(WIDE if name == "wide.png" else TALL, 60).convert("RGB").save(path)
            else:
                path.write_bytes(FILMS[name]() if name in FILMS else self._made(name))
        return path

    def _made(self, name: str) -> bytes:
        stem, _, form = name.rpartition(".")
        length, _, codec = stem.partition("-")
        if length == "film":
            return film(form, codec=CODECS[codec], size=WIDE, frames=75)
        return tone(form, float(length), CODECS.get(codec, ""))

    def own(self, name: str, words: str, into: Path) -> Path:
        """A copy that nobody sent before: the same film, sound or picture with some words more."""
        path, said = into / name, words.encode()
        content = self.path(name).read_bytes()
        tag = b"TAG" + said[:125].ljust(125) if name.endswith(".mp3") else free_box(said)
        path.write_bytes(content + tag)
        return path


def free_box(words: bytes) -> bytes:
    """A part of an MP4 that players pass over."""
    return (8 + len(words)).to_bytes(4, "big") + b"free" + words


async def read(path: Path, role: str, media: MediaClient) -> Input:
    """The file as a request's medium, read as the program reads it."""
    reader = InputReader((path.parent,), media.probe_image, probe_media=media.probe_media)
    into, kind = path.parent / "read", kind_of(role)
    into.mkdir(exist_ok=True)
    given = LocalPath(str(path))
    medium = (
        await reader.read_picture(given, role, into)
        if kind == "image"
        else await reader.read_medium(given, role, into, kind)
    )
    medium.path.unlink()
    return medium.input
