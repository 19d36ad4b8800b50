"""The media of a call are read side by side; what is told of them does not depend on which is read first."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from ltx_mcp.domain.arguments import AnimateImage
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.resolve_inputs import InputResolver
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.media.inputs import InputReader
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_of_two_that_cannot_be_read_the_first_in_order_is_named(store: Store, tmp_path: Path) -> None:
    later_failed = anyio.Event()

    async def fetch(url: str, out: Path, *, argument: str, max_bytes: int) -> str:
        if argument == "end_image":
            later_failed.set()
        else:
            with anyio.fail_after(HANG_S):
                await later_failed.wait()
            for _ in range(10):  # where it would be stopped
                await anyio.lowlevel.checkpoint()
        raise CallerError(ErrorCode.INPUT_FAILED, f"{argument} is not there.")

    async def probe(path: Path) -> MediaInfo:
        raise AssertionError(f"{path} was read")

    reader = InputReader(None, probe, fetch)
    resolver = InputResolver(reader, store, FileStore(tmp_path / "home"), "local", tmp_path)
    asked = AnimateImage(prompt="x", image="https://example.com/a.png", end_image="https://example.com/b.png")
    with pytest.raises(CallerError, match="image is not there") as raised:
        await resolver.resolve(asked)
    assert raised.value.message.startswith("image ")
