"""What the output streams can show: which letters they have, and whether a person looks at them."""

import codecs
import sys
from io import TextIOWrapper
from typing import TextIO

PLAINLY = "ltx_mcp.plainly"
PLAIN = {"…": "...", "✓": "+", "✗": "x", "–": "-"}
"""What stands for our own signs where a stream lacks them. Letters of others become escapes."""


def adapt_streams() -> None:
    """Let nothing that is printed fail for want of a letter; under LC_ALL=C a terminal is shown ASCII alone."""
    codecs.register_error(PLAINLY, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, TextIOWrapper):
            continue
        if stream.isatty() and _is_ascii_wanted():
            stream.reconfigure(encoding="ascii", errors=PLAINLY)
        elif stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors=PLAINLY)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(each) or _escaped(each) for each in lacking), error.end


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode("ascii")


def _is_ascii_wanted() -> bool:
    """Python writes UTF-8 in the C locale all the same, which is right for files and not for what a terminal draws."""
    import locale

    return sys.platform != "win32" and locale.setlocale(locale.LC_CTYPE, None) in ("C", "POSIX")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at it. What a program reads is never coloured, cut or drawn, whatever FORCE_COLOR says."""
    return stream is not None and stream.isatty()


def writable(text: str, encoding: str) -> str:
    """As a stream of this encoding will show it, so that its width is known before it is drawn."""
    return text.encode(encoding, PLAINLY).decode(encoding)
