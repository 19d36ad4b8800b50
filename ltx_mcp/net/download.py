"""Fetching a finished video from where the provider put it: continued where it was cut, never with a credential."""

import re
from collections.abc import Mapping
from pathlib import Path

import httpx

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.net.diagnose import diagnose
from ltx_mcp.net.flow import WIDEST, Bounds, EndlessError, TricklingError, pour
from ltx_mcp.net.route import Route
from ltx_mcp.net.ssrf import CONNECT_S, READ_S, EgressBlocked, EgressPolicy, get, provider_policy
from ltx_mcp.net.unpack import Body, CutError, PackedError

GONE = frozenset({401, 403, 404, 410})
_RANGE = re.compile(r"bytes (?:(\d{1,15})-\d{1,15}|\*)/(\d{1,15}|\*)", re.ASCII)


class Downloads:
    """Downloads under way, each known by its file. Remembers which version of a video the bytes so far belong to.

    `read_s` is how long a host may be silent, in seconds, before a try has failed; `route` is the way out.
    """

    def __init__(self, read_s: float = READ_S, route: Route | None = None) -> None:
        self._read_s = read_s
        self._route = route or Route()
        self._versions: dict[Path, str] = {}

    async def fetch(self, url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds = WIDEST) -> None:
        """Bring `out` to its end, from where it stands. One try: on failure what has come stays.

        Raises ProviderError: expired when the address does not lead to the video any more, bad_reply when more comes
        than a video has, else unavailable; and what `bounds.room` raises.
        """
        try:
            await self._fetch(url, out, provider, provider_policy(self._route, is_loopback=is_loopback), bounds)
        except EgressBlocked as error:
            raise _error(provider, f"pointed at a film whose address {_reason(error)}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            words = diagnose(error, CONNECT_S).words
            raise _error(provider, f"put the film on a host that {words}") from error
        except CutError as error:
            raise _incomplete(provider) from error
        except PackedError as error:
            raise _error(provider, f"sends a film that {error}") from error
        except EndlessError as error:
            raise too_much(provider, bounds) from error
        except TricklingError as error:
            raise _error(provider, "sends the film too slowly") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            raise _incomplete(provider) from error
        self._versions.pop(out, None)

    async def _fetch(self, url: str, out: Path, provider: str, policy: EgressPolicy, bounds: Bounds) -> None:
        have = out.stat().st_size if out.exists() else 0
        version = self._versions.get(out, "") if have else ""
        headers = {"Range": f"bytes={have}-", "If-Range": version} if version else {}
        async with get(url, policy, headers=headers, read_s=self._read_s) as answer:
            start, total = _range_of(answer)
            if answer.status_code == 416 and version:
                self._versions.pop(out)  # unless all is here, it is fetched anew
                if total == have:
                    return
            if answer.status_code in GONE:
                raise _error(provider, f"answers HTTP {answer.status_code} where the film was", ErrorCode.EXPIRED)
            if answer.status_code not in (200, 206):
                raise _error(provider, f"answers HTTP {answer.status_code} for the film")
            continued = answer.status_code == 206 and bool(version) and start == have
            if not continued and start:
                self._versions.pop(out, None)
                raise _error(provider, "sends another part of the film than was asked for")
            # who repeats the beginning would do so again
            self._versions[out] = "" if version and answer.status_code == 206 and not continued else _version(answer)
            body = Body(answer.aiter_raw(), answer.headers.get("content-encoding", ""), raw=continued)
            length = await announced_length(body, answer.headers, bounds)
            if body.is_packed:  # of what was packed there is no middle to go on from
                self._versions[out] = ""
            await pour(aiter(body), out, bounds, length=length, restart=not continued)
            if total is not None and not body.is_packed and out.stat().st_size < total:
                raise _incomplete(provider)


async def announced_length(body: Body, headers: Mapping[str, str], bounds: Bounds) -> int | None:
    """How long a video says it is; None where it does not, or where it is packed. Raises EndlessError before a byte of
    one that says that it is too long is read, and PackedError."""
    text = headers.get("content-length", "")
    length = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
    if length is not None and length > bounds.max_bytes:  # packed it is not shorter than it is
        raise EndlessError
    await body.open()
    return None if body.is_packed else length


def _range_of(answer: httpx.Response) -> tuple[int | None, int | None]:
    """Where a part begins and how long all of it is, as far as the answer says so."""
    found = _RANGE.match(answer.headers.get("content-range", "")) if answer.status_code in (206, 416) else None
    start, total = found.groups() if found else (None, None)
    return int(start) if start else None, int(total) if total and total != "*" else None


def _version(answer: httpx.Response) -> str:
    """A strong validator of these bytes; a download is never continued by a weak one."""
    etag = str(answer.headers.get("etag", ""))
    return etag if etag and not etag.startswith("W/") else str(answer.headers.get("last-modified", ""))


def too_much(provider: str, bounds: Bounds) -> ProviderError:
    """The error of a video that does not end."""
    limit = f"{bounds.max_bytes / 1e6:.0f} MB"
    return _error(provider, f"sends more than {limit}, which no film of this order has", ErrorCode.BAD_REPLY)


def _reason(error: EgressBlocked) -> str:
    """A name that cannot be resolved is distinguished from one that leads inside: a provider gave it, no caller."""
    return "is not known to this network" if isinstance(error.__cause__, OSError) else str(error)


def _incomplete(provider: str) -> ProviderError:
    return _error(provider, "did not deliver the whole film yet")


def _error(provider: str, what: str, code: ErrorCode = ErrorCode.UNAVAILABLE) -> ProviderError:
    hint = "It was made and paid: ask the provider's support for it."
    return ProviderError(code, f"{provider} {what}.", hint, provider=provider, accepted="yes")
