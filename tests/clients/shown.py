"""What a request shows its model of a tool's answer: words, pictures, and pictures that were turned into words."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.clients.dialects import Body, is_result, is_said_by_model, turns

BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{2000,}")
NAMES = ("id", "type", "role", "name", "call_id", "tool_use_id", "tool_call_id", "mimeType", "mime_type", "status")
"""Keys whose values are not what a tool said."""


@dataclass(frozen=True)
class Shown:
    """One answer as a model saw it. `spilled` is how many bytes of pictures stood there as words."""

    text: str
    pictures: int
    spilled: int


def read_shown(body: Body) -> Shown:
    """What came after the model's last turn."""
    newest = turns(body)
    last = max((at for at, turn in enumerate(newest) if is_said_by_model(turn)), default=-1)
    newest = newest[last + 1 :]
    results = list(_results(newest))
    words = "\n".join(text for part in results or newest for text in _texts(part))
    cut = BASE64.sub("", words)
    return Shown(plain(cut), sum(1 for part in newest for _ in _pictures(part)), len(words) - len(cut))


def plain(text: str) -> str:
    """Without the backslashes of JSON inside JSON."""
    for _ in range(2):
        text = text.replace('\\"', '"').replace("\\n", "\n").replace("\\u00b7", "·")
    return text


def _results(node: Any) -> Iterator[Any]:
    if is_result(node):
        yield node
        return
    for each in _inside(node):
        yield from _results(each)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict) and not is_picture(node):
        for name, each in node.items():
            if name not in NAMES:
                yield from (_texts(each) if isinstance(each, str | dict | list) else (json.dumps({name: each}),))
    elif isinstance(node, list):
        for each in node:
            yield from _texts(each)


def _pictures(node: Any) -> Iterator[Any]:
    if is_picture(node):
        yield node
        return
    for each in _inside(node):
        yield from _pictures(each)


def _inside(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def is_picture(node: Any) -> bool:
    """Whether a part is a picture to the model's API, not a text that holds one."""
    if not isinstance(node, dict):
        return False
    inline = node.get("inlineData") or node.get("inline_data")
    if isinstance(inline, dict):
        return str(inline.get("mimeType") or inline.get("mime_type")).startswith("image/")
    if node.get("type") == "image":
        return isinstance(node.get("source"), dict)
    if node.get("type") in ("image_url", "input_image"):
        url = node.get("image_url")
        return str(url.get("url") if isinstance(url, dict) else url).startswith("data:image/")
    return False
