"""A store at the end of a thin line, which is something that a real one on loopback never is. Not a test."""

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.patience import HANG_S

FILM = bytes(range(256)) * 8_000
PARTS = b"<Parts><UploadId>1</UploadId><ETag>1</ETag></Parts>"
"""The answer to whoever begins or ends a film in parts."""


class SlowStore:
    """It takes a film, and gives one, as slowly as it is told, says nothing about what is called silent, and has no
    bucket that is called gone."""

    def __init__(self) -> None:
        self.is_under_way, self.may_go_on, self.may_end = (threading.Event() for _ in range(3))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Slowly, self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End it, with all that still waits."""
        self.may_go_on.set()
        self.may_end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(HANG_S)


class _Slowly(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, store: SlowStore, *arguments: Any) -> None:
        self._store = store
        super().__init__(*arguments)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._begin(len(PARTS))
        if not self._is_gone:
            self.wfile.write(PARTS)

    def do_DELETE(self) -> None:
        self._begin(0)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._store.is_under_way.set()
        if not self._is_gone:
            (self._store.may_end if "silent" in self.path else self._store.may_go_on).wait(HANG_S)
        self._begin(0)

    def do_GET(self) -> None:
        if "silent" in self.path:
            self._store.may_end.wait(HANG_S)
        self._begin(len(FILM))
        half = len(FILM) // 2
        self.wfile.write(FILM[:half])
        self.wfile.flush()
        self._store.is_under_way.set()
        self._store.may_go_on.wait(HANG_S)
        self.wfile.write(FILM[half:])

    @property
    def _is_gone(self) -> bool:
        return self.path.startswith("/gone/")

    def _begin(self, size_bytes: int) -> None:
        if self._is_gone:
            size_bytes = 0
        self.send_response(404 if self._is_gone else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 12:00:00 GMT")
        self.send_header("Content-Length", str(size_bytes))
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""
