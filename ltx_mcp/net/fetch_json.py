"""JSON from an address that the operator named, or that such an address names: private networks are allowed, redirects
are not."""

from typing import Any
from urllib.parse import urlsplit

import anyio

from ltx_mcp.net.reply import read_json
from ltx_mcp.net.route import Route
from ltx_mcp.net.ssrf import UNREACHED, EgressBlocked, EgressPolicy, get

FETCH_S = 5.0
MAX_BYTES = 1 << 20


class FetchError(Exception):
    """Why there is no JSON, as a sentence without its end. `has_answered`: another address of that host may have it."""

    def __init__(self, message: str, *, has_answered: bool = True) -> None:
        super().__init__(message)
        self.has_answered = has_answered


async def fetch_json(url: str, *, named_by: str) -> Any:
    """What lies at `url`. Plain http is taken only on this machine, and only where `named_by`, the operator's address,
    is http itself. Raises FetchError."""
    policy = EgressPolicy(allow=lambda address: True, allow_http=urlsplit(named_by).scheme == "http", route=Route())
    try:
        with anyio.fail_after(FETCH_S):
            async with get(url, policy, headers={"Accept": "application/json"}, redirects=0) as answer:
                if answer.status_code != 200:
                    raise FetchError(f"{url} answers with HTTP status {answer.status_code}")
                content = b""
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > MAX_BYTES:
                        raise FetchError(f"{url} is too large")
    except UNREACHED as error:
        why = str(error) if isinstance(error, EgressBlocked) else "cannot be reached"
        raise FetchError(f"{url} {why}", has_answered=False) from error
    found = read_json(content)
    if found is None:
        raise FetchError(f"{url} is no JSON")
    return found
