"""The emulated fal.ai's webhooks: when an order has ended, the address that it named is told, signed by a key of this
emulator, and told again where that was not taken. Only addresses of this machine are told.
"""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import anyio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ltx_mcp.emulator.emulator_state import Call, EmulatedOrder
from ltx_mcp.emulator.fal.errors import NAME
from ltx_mcp.emulator.wire import Emulator
from ltx_mcp.net.address import is_loopback_host
from ltx_mcp.net.ssrf import UNREACHED, EgressPolicy, send_pinned

POLL_S = 0.02
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""After tries that were not taken. fal itself takes two hours for ten tries."""
ANSWER_S = 15.0
USER_ID = "emulated-user"


@dataclass(frozen=True)
class EmulatedWebhooks:
    """The webhooks of one emulator."""

    emulator: Emulator

    async def keys(self, request: Request) -> Response:
        """The public key, as a JWKS."""
        public = _private(self.emulator.state.webhook_key).public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
        return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})

    def tell_later(
        self, order: EmulatedOrder, url: str, has_ended: Callable[[], bool], news: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Tell this address once the order has ended."""
        if is_loopback_host(urlsplit(url).hostname or ""):
            self.emulator.start_later(partial(self._tell, order, url, has_ended, news))

    async def _tell(
        self, order: EmulatedOrder, url: str, has_ended: Callable[[], bool], news: Callable[[], Mapping[str, Any]]
    ) -> None:
        while not has_ended():
            await anyio.sleep(POLL_S)
        body = json.dumps({"request_id": order.id, "gateway_request_id": order.id, **news()}).encode()
        for pause_s in (*PAUSES_S, None):
            if order not in self.emulator.state.orders or await self._is_taken(order, url, body) or pause_s is None:
                return
            await anyio.sleep(pause_s)

    async def _is_taken(self, order: EmulatedOrder, url: str, body: bytes) -> bool:
        """One try; it is among the calls, with status 0 where nobody answered."""
        state = self.emulator.state
        headers = sign(state.webhook_key, order.id, round(time.time()), body)  # the receiver's clock is not turned
        try:
            with anyio.fail_after(ANSWER_S):
                async with send_pinned(
                    "POST", url, EgressPolicy(allow_http=True, allow=_is_any), headers, _once(body)
                ) as answer:
                    status = answer.status_code
        except UNREACHED:
            status = 0
        call = Call(NAME, "webhook", "POST", urlsplit(url).path, status, False, state.now(), order.account)
        if order in state.orders:  # else all was forgotten meanwhile
            state.calls.append(call)
        return 200 <= status < 300


def sign(key: bytes, request_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook that was signed at this moment, in seconds since 1970."""
    text = "\n".join((request_id, USER_ID, str(at_s), sha256(body).hexdigest()))
    return {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": USER_ID,
        "X-Fal-Webhook-Timestamp": str(at_s),
        "X-Fal-Webhook-Signature": _private(key).sign(text.encode()).hex(),
    }


def _private(key: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key)


def _is_any(address: object) -> bool:
    """The host is loopback by its name already; http leads nowhere else."""
    return True


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
