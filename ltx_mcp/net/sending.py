"""Whether a request was begun: of an order that broke before, it is certain that nobody took it."""

from collections.abc import Callable
from typing import Any


def _nothing() -> None:
    """Nobody waits."""


class Sending:
    """Listens to how a request is sent; `began` once its first byte may be on its way to the provider. Asking a
    proxy to let it through does not count: the order is not in that."""

    def __init__(self) -> None:
        self.began = False
        self.then: Callable[[], object] = _nothing
        """Called when it begins."""

    async def listen(self, event: str, info: dict[str, Any]) -> None:
        """What the HTTP library tells of each of its steps."""
        if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
            self.began = True
            self.then()
