"""What may be written down about the network: key values and the secret parts of URLs are struck out."""

import logging
import re
from collections.abc import Iterable
from urllib.parse import quote

_STRUCK = "***"

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
    """Strike out the given key values, and of every URL user, password, query and fragment.

    Strikes up to the next space or double quote, since a query may hold any other sign.
    """
    known = {form for secret in secrets if secret for form in (secret, quote(secret), quote(secret, safe=""))}
    for form in sorted(known, key=len, reverse=True):
        text = text.replace(form, _STRUCK)
    text = _USERINFO.sub(rf"\1{_STRUCK}@", text)
    return _URL_TAIL.sub(lambda found: f"{found[1]}?{_STRUCK}" if found[2] else found[0], text)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


def _drop_record(record: logging.LogRecord) -> bool:
    return False


def _keep_urls_out_of_logs() -> None:
    # Filters sit on the loggers themselves, so no level set later can open them again.
    for name in _CLIENT_LOGGERS:
        logging.getLogger(name).addFilter(_redact_record)
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_drop_record)


_keep_urls_out_of_logs()
