"""What may be logged about the network: key values and the secret parts of URLs are redacted."""

import logging
import re
from collections.abc import Iterable
from urllib.parse import quote

_REDACTED = "***"

# `\/` is how some services write a slash inside JSON.
_USERINFO = re.compile(r'(:\\?/\\?/)[^\s/?#"<>\\]*@')
_URL_TAIL = re.compile(r'(:\\?/\\?/[^\s?#"<>]*)([?#][^\s"<>]*)?')

# httpx writes whole URLs at INFO, httpcore the headers of every answer (Location, Set-Cookie) at DEBUG.
_CLIENT_LOGGERS = ("httpx", "httpx2")
_WIRE_LOGGERS = tuple(
    f"{core}.{part}"
    for core in ("httpcore", "httpcore2")
    for part in ("connection", "http11", "http2", "proxy", "socks")
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Redact the given key values, and of every URL user, password, query and fragment: up to the next space or double
    quote, since a query may hold any other character."""
    known = {form for secret in secrets if secret for form in (secret, quote(secret), quote(secret, safe=""))}
    for form in sorted(known, key=len, reverse=True):
        text = text.replace(form, _REDACTED)
    text = _USERINFO.sub(rf"\1{_REDACTED}@", text)
    return _URL_TAIL.sub(lambda found: f"{found[1]}?{_REDACTED}" if found[2] else found[0], text)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


# The filters are on the loggers themselves, so no level set later can open them again.
for _name in _CLIENT_LOGGERS:
    logging.getLogger(_name).addFilter(_redact_record)
for _name in _WIRE_LOGGERS:
    logging.getLogger(_name).addFilter(lambda record: False)
