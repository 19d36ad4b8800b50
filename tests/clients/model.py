"""A scripted model: an HTTP server on loopback that plays every model API and asks for the calls of a conversation."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from tests.clients.dialects import Body, Call, Offered, is_result, read_offered, turns, write
from tests.clients.script import Conversation, Step
from tests.clients.shown import Shown, read_shown
from tests.tool_list import TOOLS

FINAL = "final_answer"
"""The tool by which smolagents wants to be told that it is done."""

MEANT = {"wait_seconds": 45, "frame_at": -1}
"""What a model that must give these gives, from their descriptions."""
WAIT = "WaitForMcpServers"
"""What Claude Code offers while a server is starting."""
AS_STRING = re.compile(r"Argument (\w+) has type '\w+' but should be 'string'")
"""What smolagents answers to a number for an argument that may be a word too."""


@dataclass
class Model:
    """Where a conversation stands. `seen` has, for each call that was answered, its tool and what was shown of it."""

    script: Conversation
    kept: Path
    offered: dict[str, Offered] = field(default_factory=dict)
    seen: list[tuple[str, Shown]] = field(default_factory=list)
    is_done: bool = False
    _call: Call | None = None
    _step: Step | None = None
    _results: int = 0
    _count: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, body: Body) -> Call:
        """The next call; the same again where its answer has not come. A request without our tools is a side matter."""
        with self._lock:
            offered = {_ours(each.name): each for each in read_offered(body)}
            if "generate_video" not in offered:
                return self._say(offered.get(WAIT), {})
            self.offered = self.offered or offered
            if self._call is None:
                self._step = next(self.script, None)
            elif not self._is_answered(body):
                if not self._is_mended(read_shown(body).text):
                    return self._call
            else:
                self._results = _count_results(turns(body))
                self._advance(read_shown(body))
            self._call = self._next(offered)
            return self._call

    def _is_answered(self, body: Body) -> bool:
        assert self._call is not None
        if self._call.tool is None:
            return False
        return self._call.id in json.dumps(turns(body)) or _count_results(turns(body)) > self._results

    def _is_mended(self, shown: str) -> bool:
        told = [*AS_STRING.finditer(shown)][-1:]
        given = self._call.arguments if self._call else None
        if self._step is None or not told or not given or isinstance(given.get(told[0][1]), str | None):
            return False
        name, arguments = self._step
        self._step = (name, arguments | {told[0][1]: str(given[told[0][1]])})
        return True

    def _advance(self, shown: Shown) -> None:
        if self._step is None:
            return
        self.seen.append((self._step[0], shown))
        try:
            self._step = self.script.send(shown.text)
        except StopIteration:
            self._step = None

    def _next(self, offered: dict[str, Offered]) -> Call:
        if self._step is None:
            self.is_done = True
            final = offered.get(FINAL)
            return self._say(final, {"answer": "All done."} if final else None)
        name, arguments = self._step
        return self._say(offered[name], filled(arguments, offered[name].schema))

    def _say(self, tool: Offered | None, arguments: dict[str, Any] | None = None) -> Call:
        return Call(f"call_{next(self._count):06}", tool, arguments)


def filled(arguments: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """As strict modes make a model answer: what must be given, and is not meant, is given empty, or as the words of
    the argument say."""
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    empty = {"string": "", "integer": 0, "number": 0, "boolean": True, "null": None}
    return arguments | {name: MEANT.get(name, empty.get(_kind(schema["properties"][name]))) for name in missing}


def _kind(node: Any) -> str:
    kinds = [each.get("type") for each in [node, *node.get("anyOf", ())] if isinstance(each, dict)]
    flat = [each for kind in kinds for each in (kind if isinstance(kind, list) else [kind])]
    return "null" if "null" in flat else str(next((kind for kind in flat if kind), ""))


def _ours(name: str) -> str:
    """A tool's own name, without what a client puts before it."""
    return next((each for each in TOOLS if name.endswith(each)), name)


def _count_results(node: Any) -> int:
    if is_result(node):
        return 1
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return sum(map(_count_results, inside))


@contextmanager
def running(script: Conversation, kept: Path) -> Iterator[tuple[str, Model]]:
    """The address of a scripted model, and the model. Each body that it is sent is kept in a line of `kept`."""
    model = Model(script, kept)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._send("application/json", json.dumps({"object": "list", "data": [], "models": []}))

        def do_POST(self) -> None:
            body = json.loads(self._read() or b"{}")
            path = self.path.partition("?")[0]
            with model._lock, kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"path": path, "body": body}) + "\n")
            self._send(*write(path, body, model.reply(body)))

        def _read(self) -> bytes:
            if "chunked" not in self.headers.get("transfer-encoding", "").lower():
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
