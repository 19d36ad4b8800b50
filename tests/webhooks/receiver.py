"""A receiver of webhooks over a real socket, and what it was told. Not a test."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Witness

from tests.patience import HANG_S

SECRET = "whsec_" + "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 2
OTHER = "whsec_" + "c2VzYW1lIG9wZW46QWxhZGRpbg" * 2


@dataclass(frozen=True)
class Told:
    """A message that arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verified_by(self, secret: str) -> Any:
        """As somebody else's library verifies it. Raises WebhookVerificationError."""
        return Witness(secret).verify(self.body, dict(self.headers))


@dataclass(frozen=True)
class Reply:
    """What is answered; None as a status: nothing, ever."""

    status: int | None = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


class Receiver:
    """Answers each message with the next of `replies`, and then with `usual`; `after` runs when the sender has hung
    up."""

    def __init__(self, context: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0) -> None:
        self.replies: list[Reply] = []
        self.usual = Reply()
        self.told: list[Told] = []
        self._news = threading.Condition()
        self._closed = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        class Threads(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *arguments: Any) -> None:
                pass  # senders are killed

        self._server = Threads((address, port), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        scheme = "https" if context else "http"
        self.url = f"{scheme}://{address}:{self.port}/hooks/ltx?token=a-query-that-is-nobodys"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._news:
            reply = self.replies.pop(0) if self.replies else self.usual
            self.told.append(Told(request.path, headers, body))
            self._news.notify_all()
        reply.before()
        if reply.status is None:
            self._closed.wait(2 * HANG_S)
            return
        request.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": "0"}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.flush()
        with suppress(OSError):
            request.connection.recv(1)
        request.close_connection = True
        reply.after()

    def wait(self, count: int) -> Sequence[Told]:
        """The messages, once there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.told) >= count, HANG_S), f"told {len(self.told)} times"
            return list(self.told)

    def close(self) -> None:
        """Hang up."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving(context: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0) -> Iterator[Receiver]:
    """A receiver for a while."""
    receiver = Receiver(context, address, port)
    try:
        yield receiver
    finally:
        receiver.close()


def hook_text(name: str, url: str, *, secrets: Sequence[str] = (SECRET,), more: str = "allow_private = true") -> str:
    """A webhook as the file has it."""
    return f'[webhook.{name}]\nurl = "{url}"\nsecrets = {json.dumps(list(secrets))}\n{more}\n'
