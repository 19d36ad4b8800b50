"""Every line that has an id is a message or gets an answer under that id; a notification never gets one."""

import json
from typing import Any

import pytest

from ltx_mcp.server.lines import read_line, refuse_long_line


def call(number: int, arguments: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"a":%b}}\n' % (number, arguments)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (b'"cut \\ud83d"', "cut \ufffd"),
        (b'"\\uDE00 first"', "\ufffd first"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd😀"),
        (b'"\\ud83d\\ude00 \\\\ud83d \\\\\\ud83d"', "😀 \\ud83d \\\ufffd"),
        (b'{"\\ud83d":1}', {"\ufffd": 1}),
        (b'"a\xff\xfeb"', "a\ufffd\ufffdb"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
    ],
)
def test_half_a_sign_is_replaced_and_the_message_goes_on(text: bytes, meant: Any) -> None:
    message = read_line(call(7, text)).message
    assert message is not None
    assert message.model_dump()["params"] == {"a": meant}
    assert json.dumps(message.model_dump(), ensure_ascii=False).encode()


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_line(b"\xef\xbb\xbf" + call(7, b"1")).message is not None


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        (call(1, b"[" * 500 + b"]" * 500), [1]),
        (call(2, b"[" * 100_000 + b"]" * 100_000), [2]),
        (call(3, b"9" * 10_000), [3]),
        (b'{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"list', [4]),
        (b'{"jsonrpc":"2.0","method":"ping","params":{"id":9,"s":"\\"id\\":8,{"},"id":"f\\u0069ve",}', ["five"]),
        (b'{"method":"ping","params":{"a":"\\\\"},"id":6,"jsonrpc":"2.0"} x', [6]),
        (call(7, b"1") + call(8, b"1"), [7]),
        (b'{"id":9,"method":"ping"}', [9]),
        (b'{"jsonrpc":"2.0","id":10,"method":"ping","params":[]}', [10]),
        (b'{"jsonrpc":"2.0","id":11}', [11]),
        (b"[" + call(12, b"1") + b"," + call(13, b"1") + b',{"jsonrpc":"2.0","method":"x"}]', [12, 13]),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', [None]),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}', [None]),
        (b"hello", [None]),
        (b"[]", [None]),
        (b"5", [None]),
        (b"\0\1\2", [None]),
    ],
)
def test_what_is_no_message_is_answered_under_its_id(line: bytes, numbers: list[Any]) -> None:
    reading = read_line(line)
    assert reading.message is None
    assert [answer.id for answer in reading.errors] == numbers
    assert all(answer.error.code in (-32700, -32600) for answer in reading.errors)
    assert all(len(answer.error.message) < 300 for answer in reading.errors)


@pytest.mark.parametrize(
    "line",
    [
        b" \r\n",
        b'{"jsonrpc":"2.0","method":"notifications/x","params":{"id":5},}',
        b'{"jsonrpc":"2.0","method":"notifications/x","params":[]}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":' + b"[" * 500,
        b'{"jsonrpc":"2.0","id":1,"error":5}',
    ],
    ids=["blank", "broken notification", "wrong notification", "broken reply", "wrong reply"],
)
def test_a_notification_and_a_reply_are_never_answered(line: bytes) -> None:
    assert (read_line(line).message, list(read_line(line).errors)) == (None, [])


def test_a_line_that_was_not_read_to_its_end_is_answered_under_its_id() -> None:
    (answer,) = refuse_long_line(call(5, b'"' + b"A" * 100_000), 100_000).errors
    assert answer.id == 5
    assert "100,000 bytes" in answer.error.message
