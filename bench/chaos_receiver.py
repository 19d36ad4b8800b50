"""The receiver of a chaos run's webhooks, in a process of its own: it checks each signature, writes down what came and
what it answers, and then often answers badly or not at all."""

import json
import os
import random
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

SECRETS = "CHAOS_HOOK_SECRETS"
"""The variable with each webhook's secret, as JSON."""
TAKEN = "204"
BADLY = ("500", "429", "hangs", "closes")
HANGS_S = 20.0
"""Longer than a sender waits."""


class Receiver(ThreadingHTTPServer):
    """It fails so often, of 1. What comes is added to a file."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, path: str, failing: float, secrets: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._failing = failing
        self._witnesses = {name: Webhook(secret) for name, secret in secrets.items()}

    def receive(self, name: str, headers: Mapping[str, str], body: bytes) -> str:
        """Write it down; how it is answered."""
        answer = random.choice(BADLY) if random.random() < self._failing else TAKEN
        flaw = ""
        try:
            self._witnesses[name].verify(body, dict(headers))
        except (WebhookVerificationError, KeyError, ValueError) as error:
            flaw = f"{type(error).__name__}: {error}"
        told = {
            "hook": name,
            "id": headers.get("webhook-id", ""),
            "body": body.decode(),
            "answer": answer,
            "flaw": flaw,
        }
        os.write(self._file, json.dumps(told).encode() + b"\n")
        return answer


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A message, or whatever else somebody sends."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.receive(self.path.rpartition("/")[2], dict(self.headers.items()), body)
        if answer == "hangs":
            time.sleep(HANGS_S)
        if not answer.isdigit():
            self.close_connection = True
            return
        self.send_response(int(answer))
        if answer == "429":
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the file says all."""


if __name__ == "__main__":
    Receiver(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), json.loads(os.environ[SECRETS])).serve_forever()
