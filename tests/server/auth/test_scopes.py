"""What a token that may only look can do: nothing that costs or changes something, whatever its headers say."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, MCPError

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.server.app import make_server
from ltx_mcp.server.auth.logins import Logins
from ltx_mcp.server.auth.principal import ORDER, READ
from ltx_mcp.server.auth.scopes import READING
from ltx_mcp.server.auth.tokens_file import TokensFile, new_token, to_row_text
from ltx_mcp.settings import read_settings
from tests.server.auth.service import OLDER, bearer, begin, call, send, serving

pytestmark = pytest.mark.anyio

LOOKER, ORDERER = new_token(), new_token()
FILM = {"prompt": "a pond", "resolution": "720p", "fps": 24}
ORDER_FILM = call("generate_video", **FILM)
CHALLENGE = 'Bearer error="insufficient_scope", error_description="This login may look, but not order or cancel: '
JOB = "job_aaaaaaaaaaaaaaaaaaaa"
TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


@pytest.fixture
async def web(home: Path, catalog: Catalog, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    path = tmp_path / "tokens.toml"
    rows = [
        to_row_text(LOOKER, "looker", (READ,), may_act=False, expires=None),
        to_row_text(ORDERER, "orderer", (ORDER,), may_act=False, expires=None),
    ]
    path.write_text("".join(rows), encoding="utf-8")
    path.chmod(0o600)
    async with serving(home, catalog, Logins(TokensFile(path))) as client:
        yield client


def jobs_in(home: Path) -> int:
    """How many jobs were ever placed."""
    database = Database.open(home)
    try:
        with database.read() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one())
    finally:
        database.close()


def is_refused(answer: httpx.Response) -> bool:
    """Whether nothing was done: a refusal of HTTP, an error of the protocol, or an error of the tool."""
    if answer.status_code >= 400:
        return True
    text = answer.text.rpartition("data: ")[2]
    message = json.loads(text or answer.text)
    return "error" in message or bool(message["result"].get("isError"))


# -- today's protocol ---------------------------------------------------------------------------------------------


async def test_an_order_without_the_scope_is_403_with_all_that_is_needed(web: httpx.AsyncClient, home: Path) -> None:
    answer = await send(web, LOOKER, "tools/call", ORDER_FILM)
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith(CHALLENGE)
    assert answer.headers["www-authenticate"].endswith('scope="ltx:read ltx:order"')
    assert "ltx:order" in answer.json()["error"]["message"]
    assert answer.json()["id"] == 1


READS: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", call("list_jobs")),
    ("tools/call", call("check_job", job_id=JOB)),
    ("tools/call", call("estimate_cost")),
    ("tools/list", {}),
    ("resources/list", {}),
    ("resources/read", {"uri": "ltx://models"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "direct_video", "arguments": {"idea": "a pond"}}),
    ("server/discover", {}),
    ("tasks/get", {"taskId": JOB}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "direct_video"}, "argument": {"name": "model", "value": ""}},
    ),
]
CHANGES: list[tuple[str, dict[str, Any]]] = [
    *(("tools/call", call(name, **FILM)) for name in ("generate_video", "animate_image", "extend_video")),
    ("tools/call", call("join_videos", videos=[JOB, JOB])),
    ("tools/call", call("cancel_job", job_id=JOB)),
    ("tools/call", call("a_tool_that_nobody_made")),
    ("tasks/cancel", {"taskId": JOB}),
    ("tasks/update", {"taskId": JOB, "inputResponses": {}}),
    ("jobs/purge", {}),
]


@pytest.mark.parametrize(("method", "params"), READS)
async def test_who_may_look_may_look_at_everything(web: httpx.AsyncClient, method: str, params: dict[str, Any]) -> None:
    for token in (LOOKER, ORDERER):
        answer = await send(web, token, method, params, capabilities=TASKS)
        assert answer.status_code != 403
        assert "may look" not in answer.text


@pytest.mark.parametrize(("method", "params"), CHANGES)
async def test_who_may_look_changes_nothing(web: httpx.AsyncClient, method: str, params: dict[str, Any]) -> None:
    refused = await send(web, LOOKER, method, params, capabilities=TASKS)
    assert (refused.status_code, "insufficient_scope" in refused.headers["www-authenticate"]) == (403, True)
    assert (await send(web, ORDERER, method, params, capabilities=TASKS)).status_code != 403


async def test_every_tool_that_is_registered_needs_the_scope_that_its_hints_say(home: Path, catalog: Catalog) -> None:
    server, _ = make_server(read_settings({"LTX_MCP_HOME": str(home)}), catalog)
    hints = {tool.name: tool.annotations and tool.annotations.read_only_hint for tool in await server.list_tools()}
    assert {name for name, reads in hints.items() if reads} == {"check_job", "estimate_cost", "list_jobs"}
    assert {"generate_video", "join_videos", "cancel_job"} <= {name for name, reads in hints.items() if not reads}


def test_every_method_that_the_server_answers_was_thought_of(home: Path, catalog: Catalog) -> None:
    server, _ = make_server(read_settings({"LTX_MCP_HOME": str(home)}), catalog)
    served = set(server._lowlevel_server._request_handlers)
    assert served - READING == {"tools/call", "tasks/update", "tasks/cancel"}


# -- lies ---------------------------------------------------------------------------------------------------------

LIES: dict[str, dict[str, str]] = {
    "none": {},
    "a reading name": {"Mcp_Name": "check_job"},
    "a reading method": {"Mcp_Method": "tools/list", "Mcp_Name": ""},
    "both": {"Mcp_Method": "resources/read", "Mcp_Name": "ltx://models"},
    "no name": {"Mcp_Name": ""},
    "no headers": {"Mcp_Name": "", "Mcp_Method": ""},
    "no version": {"MCP_Protocol_Version": ""},
    "no version, and a reading name": {"MCP_Protocol_Version": "", "Mcp_Name": "check_job"},
    "an older version": {"MCP_Protocol_Version": OLDER},
    "an older version, and a reading name": {"MCP_Protocol_Version": OLDER, "Mcp_Name": "check_job"},
    "a version that never was": {"MCP_Protocol_Version": "2031-01-01", "Mcp_Name": "check_job"},
    "the first version": {"MCP_Protocol_Version": "2024-11-05", "Mcp_Name": "check_job"},
    "a session that never was": {"MCP_Protocol_Version": OLDER, "Mcp_Session_Id": "0" * 32},
}


@pytest.mark.parametrize("lie", LIES)
async def test_no_header_orders_what_the_token_may_not(web: httpx.AsyncClient, home: Path, lie: str) -> None:
    answer = await send(web, LOOKER, "tools/call", ORDER_FILM, {}, **LIES[lie])
    assert is_refused(answer), answer.text
    older = await begin(web, LOOKER)
    lies = {name.replace("_", "-"): value for name, value in LIES[lie].items()}
    headers = {name: value for name, value in {**httpx.Headers(older | lies)}.items() if value}
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": ORDER_FILM}
    assert is_refused(await web.post("/mcp", json=body, headers=headers))
    assert is_refused(await web.post("/mcp", json=[body], headers=headers))
    assert is_refused(await web.post("/mcp", json=[body | {"method": "tools/list", "params": {}}, body], headers=older))
    await send(web, LOOKER, "tools/call", call("list_jobs"))
    assert jobs_in(home) == 0


@pytest.mark.parametrize("name", [["generate_video"], {"name": "generate_video"}, None, 7, "generate_video ", ""])
async def test_a_name_that_is_no_tool_of_ours_orders_nothing(web: httpx.AsyncClient, home: Path, name: Any) -> None:
    params = {"name": name, "arguments": FILM}
    assert is_refused(await send(web, LOOKER, "tools/call", params, Mcp_Name="generate_video"))
    await send(web, LOOKER, "tools/call", call("list_jobs"))
    assert jobs_in(home) == 0


# -- older protocols ----------------------------------------------------------------------------------------------


async def test_an_older_client_reads_in_its_call_what_is_missing(web: httpx.AsyncClient, home: Path) -> None:
    headers = await begin(web, LOOKER)
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": ORDER_FILM}
    answer = await web.post("/mcp", json=body, headers=headers)
    result = json.loads(answer.text.rpartition("data: ")[2])["result"]
    assert (answer.status_code, result["isError"]) == (200, True)
    assert result["content"][0]["text"].startswith("insufficient_scope: ")
    looked = await web.post("/mcp", json=body | {"params": call("list_jobs")}, headers=headers)
    assert '"jobs":[]' in looked.text.replace(" ", "").replace("\\", "")
    assert jobs_in(home) == 0


async def test_a_session_does_not_lend_the_rights_of_who_began_it(web: httpx.AsyncClient, home: Path) -> None:
    headers = await begin(web, ORDERER)
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": ORDER_FILM}
    assert is_refused(await web.post("/mcp", json=body, headers=headers | bearer(LOOKER)))
    await send(web, LOOKER, "tools/call", call("list_jobs"))
    assert jobs_in(home) == 0


async def test_who_may_order_does(web: httpx.AsyncClient, home: Path) -> None:
    """So that the tests above can fail."""
    placed = [await send(web, ORDERER, "tools/call", ORDER_FILM)]
    headers = await begin(web, ORDERER)
    another = ORDER_FILM | {"arguments": FILM | {"request_key": "another"}}
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": another}
    placed.append(await web.post("/mcp", json=body, headers=headers))
    assert [is_refused(answer) for answer in placed] == [False, False]
    assert jobs_in(home) == 2
    for job_id in {found for answer in placed for found in re.findall(r"job_[a-z0-9]{20}", answer.text)}:
        await send(web, ORDERER, "tools/call", call("cancel_job", job_id=job_id))


async def test_stdio_needs_no_scope_whatever_is_set(home: Path, catalog: Catalog) -> None:
    given = {"LTX_MCP_HOME": str(home), "LTX_MCP_OIDC_ISSUER": "https://login.example.com"}
    server, _ = make_server(read_settings(given), catalog)
    async with Client(server) as client:
        assert not (await client.call_tool("list_jobs", {})).is_error


async def test_a_message_that_came_by_no_request_is_nobodys(home: Path, catalog: Catalog) -> None:
    """A transport that forgets to say who sent a message must not let it in."""
    given = {"LTX_MCP_HOME": str(home), "LTX_MCP_OIDC_ISSUER": "https://login.example.com"}
    server, _ = make_server(read_settings(given), catalog, base_url="http://127.0.0.1:1")
    async with Client(server, mode="2026-07-28") as client:
        with pytest.raises(MCPError, match="Nobody has logged in"):
            await client.call_tool("list_jobs", {})
