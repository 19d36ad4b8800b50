"""The objects of one bucket, by their names below its prefix. obstore is imported when a bucket is opened, not before.

What it says of a failure may hold addresses and headers, so only the kind of it is repeated.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import anyio.to_thread

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.bucket.origin import origin_of
from ltx_mcp.jobs.store.errors import BucketUnavailableError
from ltx_mcp.private import open_private

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Store

Method = Literal["GET", "HEAD"]

LINK_LIFE = timedelta(minutes=10)
CONNECT_S, SILENT_S, PART_S, FILM_S = 5, 20, 120, 3600
"""How long to wait for a connection, for the next bytes of an answer, until one part of a film is up and answered, and
until a whole film has come."""
RETRY_S = 10
CHUNK_BYTES = 1 << 20
PARTS_AT_ONCE = 1
"""Each takes 5 MiB of memory; several films go up at a time anyway."""
SETTING = "LTX_MCP_VIDEO_STORE"
UNWELL = "does not answer as it should"


class Objects:
    """Objects appear whole or not at all. Every failure is a BucketUnavailableError."""

    def __init__(self, address: str, lookup: Callable[[str], str]) -> None:
        """`lookup` gives the variables of the environment that allow a plain HTTP address; the keys are read from there
        by the library. Raises SetupError."""
        try:
            import obstore
            from obstore.exceptions import AlreadyExistsError, BaseError
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise SetupError(
                ErrorCode.STORAGE_FAILED,
                f"{SETTING} names a bucket, and obstore, which speaks to buckets, is not installed.",
                "Install it here: pip install obstore.",
            ) from error
        self._api, self._failure, self._already = obstore, BaseError, AlreadyExistsError
        retry: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=RETRY_S)}

        def store(silent_s: int, request_s: int) -> "S3Store":
            client: ClientConfig = {
                "allow_http": origin_of(address, lookup).startswith("http://"),
                "connect_timeout": f"{CONNECT_S}s",
                "read_timeout": f"{silent_s}s",
                "timeout": f"{request_s}s",
            }
            return cast("S3Store", from_url(address, client_options=client, retry_config=retry))

        try:
            self._store = store(SILENT_S, FILM_S)
            self._putting = store(PART_S, PART_S)  # while something goes up, the store is silent
        except (BaseError, ValueError) as error:
            raise SetupError(
                ErrorCode.STORAGE_FAILED,
                f"The bucket of {SETTING} cannot be used: its address or the variables for it are not complete.",
                "For S3 set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.",
            ) from error

    async def put(self, name: str, path: Path, mime_type: str) -> None:
        """Write a file, in parts where it is large."""
        kind = {"Content-Type": mime_type}
        with self._failures():
            source = _pieces(path)
            await self._api.put_async(self._putting, name, source, attributes=kind, max_concurrency=PARTS_AT_ONCE)

    async def create(self, name: str, content: bytes, mime_type: str) -> bool:
        """Write a small object; False where one is there already, which then stays."""
        with self._failures():
            try:
                kind = {"Content-Type": mime_type}
                await self._api.put_async(self._store, name, content, attributes=kind, mode="create")
            except self._already:
                return False
        return True

    async def read(self, name: str) -> bytes | None:
        """A small object; None where there is none."""
        with self._failures():
            try:
                return bytes(await (await self._api.get_async(self._store, name)).bytes_async())
            except FileNotFoundError:
                return None

    async def size(self, name: str, since: datetime | None = None) -> int | None:
        """How many bytes it has; None where there is none, or none written `since` then."""
        with self._failures():
            try:
                about = await self._api.head_async(self._store, name)
            except FileNotFoundError:
                return None
        return None if since is not None and about["last_modified"] < since else about["size"]

    async def get(self, name: str, path: Path, check: Callable[[int], None]) -> bool:
        """Write it to `path`, unless `check` raises for its size; False where there is none."""
        with self._failures():
            try:
                found = await self._api.get_async(self._store, name)
            except FileNotFoundError:
                return False
            await anyio.to_thread.run_sync(check, found.meta["size"])
            with open_private(path, "wb") as file:
                async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                    await anyio.to_thread.run_sync(file.write, chunk)
        return True

    async def sign(self, method: Method, name: str) -> str:
        """The address under which anybody may do this for LINK_LIFE."""
        with self._failures():
            return await self._api.sign_async(self._store, method, name, LINK_LIFE)

    def below(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Every object below a folder, and when it was written. Blocking."""
        with self._failures():
            for found in self._api.list(self._store, folder or None):
                yield from ((each["path"], each["last_modified"]) for each in found)

    def remove(self, names: Iterable[str]) -> None:
        """Remove those that are there. Blocking."""
        with self._failures():
            for name in names:
                with suppress(FileNotFoundError):
                    self._api.delete(self._store, name)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (self._failure, ConnectionError, TimeoutError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and error.errno is not None:
                raise  # a file of this machine; without a number it is a bucket that is gone
            kinds = self._api.exceptions
            refused = isinstance(error, kinds.PermissionDeniedError | kinds.UnauthenticatedError)
            raise unavailable("refuses these keys" if refused else UNWELL) from None  # its text may be a signed address


def unavailable(what: str = UNWELL) -> BucketUnavailableError:
    """The error for a bucket that is away, or not as it should be."""
    return BucketUnavailableError(
        ErrorCode.STORAGE_FAILED,
        f"The bucket of {SETTING} {what}.",
        "Its operator has to look; what is here goes there once it does.",
    )


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await anyio.to_thread.run_sync(file.read, CHUNK_BYTES):
            yield piece
