"""Reads one line from a host: a message, or the errors to send back for an invalid line.

Half of a surrogate pair, which JSON.stringify writes for a text that was cut in the middle of an emoji, becomes U+FFFD,
and so does invalid UTF-8: a prompt is worth more than its last character.
"""

import codecs
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

MAX_TOKENS = 2_000_000
"""How many brackets, quotation marks and escapes are scanned for an id in invalid JSON."""
_HEAD_BYTES = 1 << 16
_HIGH, _LOW, _ANY = rb"u[dD][89abAB]..", rb"u[dD][c-fC-F]..", rb"u[dD][89a-fA-F].."
_ESCAPE = re.compile(rb"\\(?:\\|%b\\%b|(%b))" % (_HIGH, _LOW, _ANY), re.DOTALL)
_TOKEN = re.compile(rb'\\.|["{}[\]]', re.DOTALL)
_VALUE = re.compile(rb'\s*:\s*(-?[0-9]{1,30}(?=[ \t,}])|"(?:[^"\\]|\\.){0,200}")?', re.DOTALL)
_KEYS = {b'"id"': "id", b'"method"': "method", b'"result"': "result", b'"error"': "error"}
_NO_JSON = "This line is no JSON that can be read"
_NO_REQUEST = 'This line is no JSON-RPC request: jsonrpc is "2.0", id a text or a whole number, params an object.'


@dataclass(frozen=True)
class Reading:
    """A message for the server, or errors for the host, or nothing."""

    message: JSONRPCMessage | None = None
    errors: Sequence[JSONRPCError] = ()


def read_line(line: bytes) -> Reading:
    """Read one line. Never raises, whatever the line contains."""
    if line.isspace():
        return Reading()
    try:
        value = _parse(line)
    except ValueError as error:
        keys, request_id = _scan(line)
        return Reading(errors=_to_errors(keys, request_id, PARSE_ERROR, f"{_NO_JSON}: {error}. Nothing was done."))
    if isinstance(value, list):
        batch = "Batches are not taken: send each request on a line of its own."
        errors = [error for item in value for error in _refuse(item, batch)]
        return Reading(errors=errors if value else _refuse(value, batch))
    try:
        message = jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        return Reading(errors=_refuse(value, _NO_REQUEST))
    if isinstance(message, JSONRPCNotification) and value.get("id") is not None:
        return Reading(errors=_refuse(value, _NO_REQUEST))
    return Reading(message)


def refuse_long_line(head: bytes, max_bytes: int) -> Reading:
    """The error for a line that is too long."""
    keys, request_id = _scan(head[:_HEAD_BYTES])
    return Reading(
        errors=_to_errors(keys, request_id, INVALID_REQUEST, f"This line has more than {max_bytes:,} bytes.")
    )


def _parse(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError:
        repaired = _ESCAPE.sub(
            lambda escape: rb"\ufffd" if escape[1] else escape[0], line.removeprefix(codecs.BOM_UTF8)
        )
        return from_json(repaired.decode("utf-8", "replace").encode())


def _refuse(value: Any, sentence: str) -> Sequence[JSONRPCError]:
    if not isinstance(value, dict):
        return _to_errors((), None, INVALID_REQUEST, sentence)
    request_id = value.get("id")
    keys = [key for key in value if key != "id" or request_id is not None]
    is_usable = isinstance(request_id, str) or type(request_id) is int
    return _to_errors(keys, request_id if is_usable else None, INVALID_REQUEST, sentence)


def _to_errors(keys: Collection[str], request_id: RequestId | None, code: int, sentence: str) -> Sequence[JSONRPCError]:
    """No error for a notification or a response, whose id is ours; else one error, with the request's id if known."""
    if "method" in keys and "id" not in keys:
        return ()
    if "method" not in keys and ("result" in keys or "error" in keys):
        return ()
    return [JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=sentence))]


def _scan(line: bytes) -> tuple[Collection[str], RequestId | None]:
    """The keys of a message and its id, as far as they can be recognized in invalid JSON."""
    keys: set[str] = set()
    request_id: RequestId | None = None
    for start, end in _outer_texts(line):
        key, value = _KEYS.get(line[start:end]), _VALUE.match(line, end)
        if key is None or value is None:
            continue
        if key == "id" and key not in keys and value[1]:
            request_id = _parse(value[1])
        keys.add(key)
        if {"id", "method"} <= keys:
            break
    return keys, request_id


def _outer_texts(line: bytes) -> Iterator[tuple[int, int]]:
    """The start and end of short strings in the outermost object, with their quotation marks."""
    depth, start = 0, -1
    for token in islice(_TOKEN.finditer(line), MAX_TOKENS):
        sign = token[0]
        if sign == b'"' and start < 0:
            start = token.start()
        elif sign == b'"':
            if depth == 1 and token.end() - start <= len(b'"method"'):
                yield start, token.end()
            start = -1
        elif start < 0 and len(sign) == 1:
            depth += 1 if sign in b"{[" else -1
