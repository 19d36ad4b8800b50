"""What films and pictures need of this machine: the process that decodes them, codecs, and fonts for a preview's text.

Codecs are tried where they are used, in that process: one that crashes takes no doctor along.
"""

import asyncio
import struct
import sys
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio

from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.cli.checks.timeouts import within
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import MEMORY_MIB, RenderOrder

PROCESS, CONFINEMENT, CODECS = "media process", "confinement", "codecs"
PATIENCE_S = 8.0
EDGE = 64
"""Pixels of the picture that is tried: one that a film could be made of."""
SLOW = f"no answer within {PATIENCE_S:g} s", "Run ltx-mcp doctor again when the machine is less busy."
REINSTALL = "Install PyAV and Pillow anew, as wheels: pip install --force-reinstall --only-binary :all: av Pillow"
SCRIPTS = {"Latin": "Aé", "Cyrillic": "Ж", "Chinese": "海", "Japanese": "か", "Korean": "한", "Arabic": "ب"}


async def check_machine(memory_mib: int = MEMORY_MIB) -> list[Finding]:
    """The process, the codecs, HEIC, the fonts; all at once. `memory_mib` is what the process may use."""
    media, fonts = await asyncio.gather(_decode_and_encode(memory_mib), _fonts())
    has_heif = find_spec("pillow_heif") is not None
    mend = "pip install pillow-heif"
    heif = fine("HEIC pictures", "can be read") if has_heif else warning("HEIC pictures", "cannot be read", mend)
    return [*media, heif, *fonts]


async def _decode_and_encode(memory_mib: int) -> list[Finding]:
    media = MediaClient(memory_mib=memory_mib)
    try:
        with tempfile.TemporaryDirectory(prefix="ltx-mcp-") as name:
            folder = Path(name)
            picture, film = await asyncio.gather(
                _try(PROCESS, "does not decode a picture", partial(_picture, media, folder, memory_mib)),
                _try(CODECS, "a film cannot be made", partial(_film, media, folder)),
            )
            confined = []
            if picture.status != "failure":
                confined = [await _try(CONFINEMENT, "is not known", partial(_confinement, media))]
        return [picture, *confined, film]
    except OSError as error:
        mend = "Free space or mend the permissions of the folder that TMPDIR names."
        return [failure("temporary files", f"cannot be made: {error.strerror}", mend)]
    finally:
        await media.close()


async def _try(what: str, problem: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    """What `look` finds, or that it took too long, or the `problem` that it ran into."""
    try:
        with anyio.fail_after(PATIENCE_S):
            return await look()
    except TimeoutError:
        return warning(what, *SLOW)
    except (LtxError, OSError) as error:
        return failure(what, f"{problem}: {error}", REINSTALL)


async def _picture(media: MediaClient, folder: Path, memory_mib: int) -> Finding:
    """A picture is given to the process, and its facts come back."""
    path = folder / "picture.png"
    path.write_bytes(small_png())
    await media.probe_image(path)
    return fine(PROCESS, f"decodes pictures, with {memory_mib} MiB of memory at most")


async def _confinement(media: MediaClient) -> Finding:
    """What hostile bytes that take the process over could not reach."""
    holds = await media.confinement()
    kept = {"other files": holds.files, "the network": holds.network, "other processes": holds.processes}
    away = [name for name, is_kept in kept.items() if is_kept]
    found = f"the media process is kept from {', '.join(away) or 'nothing'}"
    if all(kept.values()) or not sys.platform.startswith("linux"):
        return fine(CONFINEMENT, found)
    mend = "Use a kernel with Landlock and seccomp (Linux 5.13), and let a container have them."
    return warning(CONFINEMENT, found, mend)


async def _film(media: MediaClient, folder: Path) -> Finding:
    """A film of a fraction of a second is drawn and measured."""
    path = folder / "film.mp4"
    await media.render(RenderOrder("a test", 128, 72, 24, 0.25, audio=True), path)
    facts = await media.measure_film(path)
    return fine(CODECS, "H.264 and AAC") if facts.has_audio else failure(CODECS, "films have no sound", REINSTALL)


def small_png() -> bytes:
    """A grey square."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", EDGE, EDGE, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * EDGE) * EDGE)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def _fonts() -> list[Finding]:
    what, mend = "fonts", "Install a font that has them, such as Noto Sans CJK; a preview's caption leaves them out."
    try:
        missing = await within(PATIENCE_S, missing_scripts)
    except TimeoutError:
        return [warning(what, *SLOW)]
    except (OSError, RuntimeError, ImportError) as error:
        return [failure(what, f"cannot be used: {error}", REINSTALL)]
    there = [name for name in SCRIPTS if name not in missing]
    if missing:
        return [warning(what, f"{', '.join(there) or 'none'}; no {', '.join(missing)}", mend)]
    return [fine(what, ", ".join(there))]


def missing_scripts(folders: Iterable[Path] | None = None) -> list[str]:
    """The scripts of which no font of this machine, or of these folders, has the letters tried."""
    from ltx_mcp.media.preview.fonts import Typefaces

    faces = Typefaces(folders)
    return [name for name, letters in SCRIPTS.items() if not all(faces.find(letter) for letter in letters)]
