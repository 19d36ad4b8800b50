"""Why an address could not be reached, in words that say what to check."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ltx_mcp.net.route import UnusableError

Kind = Literal["setting", "name", "refused", "certificate", "tls", "silent", "other"]


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong; `words` continue a sentence that begins with the host. `fix`: what to do, if known."""

    kind: Kind
    words: str
    fix: str = ""


def diagnose(error: BaseException, within_s: float) -> Diagnosis:
    """The cause at the bottom of a failed request, which libraries wrap several times."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, UnusableError):
            return Diagnosis("setting", f"cannot be asked: {cause}", cause.fix)
        if isinstance(cause, socket.gaierror):
            return Diagnosis("name", "is not found: no address is known for this name")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Diagnosis("certificate", f"shows a certificate that is not trusted: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or "the connection was cut").lower().replace("_", " ")
            return Diagnosis("tls", f"does not speak TLS as it should: {reason}")
        if isinstance(cause, ConnectionRefusedError):
            return Diagnosis("refused", "refuses connections")
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return Diagnosis("silent", f"does not answer within {within_s:g} s")
    return Diagnosis("other", f"cannot be asked: {str(error).rstrip('.')}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__
