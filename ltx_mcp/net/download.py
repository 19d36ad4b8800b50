"""Fetching a finished film from where the provider put it: continued where it was cut, never with a credential."""

from pathlib import Path

import httpx
from anyio import to_thread

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.net.guard import Refused, Rules, get, provider_rules
from ltx_mcp.private import open_private

READ_S = 60.0
MAX_BYTES = 8 << 30
GONE = frozenset({401, 403, 404, 410})


class Downloads:
    """Downloads under way, each known by its file. Remembers what version of a film the bytes so far belong to.

    `read_s` is how long a host may be silent, in seconds, before a try has failed.
    """

    def __init__(self, read_s: float = READ_S) -> None:
        self._read_s = read_s
        self._versions: dict[Path, str] = {}

    async def fetch(self, url: str, out: Path, *, provider: str, near: bool) -> None:
        """Bring `out` to its end, from where it stands. One try: on failure what has come stays.

        Raises ProviderError: expired when the address does not lead to the film any more, else unavailable.
        """
        try:
            await self._fetch(url, out, provider, provider_rules(near=near))
        except Refused as error:
            raise _error(ErrorCode.UNAVAILABLE, provider, f"pointed at a film whose address {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _error(ErrorCode.UNAVAILABLE, provider, "did not deliver the whole film yet") from error
        self._versions.pop(out, None)

    async def _fetch(self, url: str, out: Path, provider: str, rules: Rules) -> None:
        have = out.stat().st_size if out.exists() else 0
        version = self._versions.get(out, "")
        headers = {"Range": f"bytes={have}-", "If-Range": version} if have and version else {}
        async with get(url, rules, headers=headers, read_s=self._read_s) as answer:
            if answer.status_code in GONE:
                raise _error(ErrorCode.EXPIRED, provider, f"answers HTTP {answer.status_code} where the film was")
            if answer.status_code not in (200, 206):
                raise _error(ErrorCode.UNAVAILABLE, provider, f"answers HTTP {answer.status_code} for the film")
            continued = answer.status_code == 206 and answer.headers.get("content-range", "").startswith(
                f"bytes {have}-"
            )
            self._versions[out] = _version(answer)
            await _append(answer, out, provider, from_start=not continued)


def _version(answer: httpx.Response) -> str:
    """A strong name of these bytes; a weak one must not be continued by."""
    etag = str(answer.headers.get("etag", ""))
    return etag if etag and not etag.startswith("W/") else str(answer.headers.get("last-modified", ""))


async def _append(answer: httpx.Response, out: Path, provider: str, *, from_start: bool) -> None:
    with await to_thread.run_sync(open_private, out, "wb" if from_start else "ab") as file:
        async for chunk in answer.aiter_raw():
            if file.tell() + len(chunk) > MAX_BYTES:
                raise _error(ErrorCode.BAD_REPLY, provider, "sends a film without end")
            await to_thread.run_sync(file.write, chunk)


def _error(code: ErrorCode, provider: str, what: str) -> ProviderError:
    hint = "It was made and paid: ask the provider's support for it."
    return ProviderError(code, f"{provider} {what}.", hint, provider=provider, accepted="yes")
