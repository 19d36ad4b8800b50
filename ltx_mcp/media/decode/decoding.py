"""What decoders raise on invalid bytes, as one sentence for the caller that says what is accepted."""

import importlib.util
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from ltx_mcp.domain.errors import CallerError, ErrorCode

MAX_EDGE = 16_384
MAX_PIXELS = 100_000_000

# Pillow's own guard stays on in front of ours: it refuses twice as much while it reads a header.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# What decoders were seen to raise on invalid bytes.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_CUT = "is cut short: its file ends in the middle of the picture"


def accepted_formats() -> list[str]:
    """The image formats readable on this machine, in our spelling."""
    names = ["png", "jpeg", "webp", "avif", "gif"]
    return [*names, "heif"] if importlib.util.find_spec("pillow_heif") else names


def accepted() -> str:
    """The same, as written in messages."""
    return ", ".join(name.upper() if name not in _SPELLED else _SPELLED[name] for name in accepted_formats())


_SPELLED = {"webp": "WebP", "heif": "HEIC"}


@contextmanager
def decode_errors(name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into one sentence for the caller, who calls the image `name`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise too_large(name, "has more pixels than are allowed") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise CallerError(ErrorCode.INPUT_FAILED, f"The {name} cannot be read: {error.strerror}.") from error
    except UnidentifiedImageError as error:
        raise refused(name, "is not in an accepted format or is cut short") from error
    except BROKEN as error:
        is_cut = isinstance(error, OSError) and "truncated" in str(error)
        raise refused(name, _CUT if is_cut else "is damaged or cut short and cannot be decoded") from error


def refused(name: str, why: str, hint: str = "Send a whole picture.") -> CallerError:
    """The error for a file that is not an accepted image."""
    return CallerError(ErrorCode.INPUT_FAILED, f"The {name} {why}: {accepted()} are accepted.", hint)


def cut_short(name: str) -> CallerError:
    """The error for an image whose file ends too early."""
    return refused(name, _CUT)


def too_large(name: str, what: str) -> CallerError:
    """The error for an image of too many pixels."""
    allowed = f"at most {MAX_EDGE:,} pixels on an edge and {MAX_PIXELS:,} in all are allowed"
    return CallerError(ErrorCode.INPUT_FAILED, f"The {name} {what}: {allowed}.")
