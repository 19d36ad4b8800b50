"""A provider's key in a request is used nowhere: as an argument it is refused by name, in a header nothing reads it."""

import secrets
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from ltx_mcp.emulator.app import settings
from tests.conftest import ERAS, Connect, Emulated
from tests.patience import HANG_S
from tests.providers.test_secrets import check, columns_of, files_of
from tests.server.test_http import Served

pytestmark = pytest.mark.anyio

NAMES = ("fal_key", "FAL_KEY", "api_key", "fal_key_env", "account")


def text_of(result: CallToolResult) -> str:
    return " ".join(each.text for each in result.content if isinstance(each, TextContent))


@pytest.mark.parametrize("name", NAMES)
async def test_a_key_as_an_argument_is_refused_by_its_name_and_not_repeated(connect: Connect, name: str) -> None:
    key = secrets.token_hex(16)
    async with connect() as client:
        result = await client.call_tool("generate_video", {"prompt": "a pond", name: key})
    assert result.is_error
    assert text_of(result).startswith("invalid_request")
    assert name in text_of(result)
    assert key not in text_of(result)


async def test_a_key_in_a_header_pays_for_nothing_and_is_written_nowhere(home: Path, emulator: Emulated) -> None:
    base_url, world = emulator
    key = f"{secrets.token_hex(8)}:{secrets.token_hex(16)}"
    world.accounts, world.wait_s, world.work_s = {"header": key}, 0.0, 0.0
    headers = dict.fromkeys(("X-Fal-Key", "X-FAL-KEY-ENV", "X-LTX-Account", "X-Api-Key", "FAL_KEY"), key)
    served = Served(home, **settings(base_url))
    try:
        for era in ERAS:
            async with httpx2.AsyncClient(headers=headers, timeout=HANG_S) as http:
                transport = streamable_http_client(served.url, http_client=http)
                async with Client(transport, mode=era) as client:
                    order = {"prompt": f"a pond, {era}", "provider": "fal", "wait_seconds": 20}
                    result = await client.call_tool("generate_video", order)
            assert (result.structured_content or {})["state"] == "succeeded"
    finally:
        served.process.terminate()
        logged = served.process.communicate(timeout=60)[1]
    assert [each.account for each in world.orders] == ["", ""]
    assert {each.account for each in world.calls} == {""}
    check([*columns_of(home), *files_of(home), ("log", logged.encode())], [key])
