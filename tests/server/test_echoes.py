"""However much is said, the answer tells little of it back: 80 characters of a text, ten of many names."""

from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import (
    GetPromptRequest,
    GetPromptRequestParams,
    PromptReference,
    Request,
    RequestParams,
    ResourceTemplateReference,
    Result,
)

from tests.conftest import ERAS, Connect, Era
from tests.tool_list import TOOLS

pytestmark = pytest.mark.anyio

LONG = "y" * 1_000_000
RUN = "y" * 81
MAX_CHARS = 4000
IN_TIME_S = 60
TEXTS = [
    (name, argument)
    for name, tool in TOOLS.items()
    for argument, value in tool.arguments.items()
    if isinstance(value, str)
]


class AnyRequest(Request[RequestParams, str]):
    """A request of any method."""


def check(told: str) -> None:
    assert RUN not in told
    assert len(told) < MAX_CHARS


async def told_by_tool(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    with anyio.fail_after(IN_TIME_S):
        return (await client.call_tool(tool, arguments)).model_dump_json()


async def refused(call: Any) -> str:
    with anyio.fail_after(IN_TIME_S), pytest.raises(MCPError) as raised:
        await call
    return raised.value.error.model_dump_json()


@pytest.mark.parametrize("era", ERAS)
async def test_a_long_text_for_any_argument_is_not_told_back(connect: Connect, era: Era) -> None:
    async with connect(era) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        asked = [pair for pair in TEXTS if pair[0] in tools]
        assert len(asked) > 30
        for tool, name in asked:
            job = {"{job}": "job_nothere00", "{cursor}": ""}
            arguments = {key: job.get(str(value), value) for key, value in TOOLS[tool].arguments.items()}
            for text in (LONG, f"job_{'y' * 64}#{LONG}", f"https://example.com/{LONG}", f"data:{LONG}"):
                check(await told_by_tool(client, tool, arguments | {name: text}))


@pytest.mark.parametrize("era", ERAS)
async def test_of_many_unknown_arguments_ten_are_named(connect: Connect, era: Era) -> None:
    async with connect(era) as client:
        told = await told_by_tool(client, "generate_video", {f"{number}_{RUN}": 1 for number in range(100_000)})
        check(told)
        assert "and 99,990 more are not arguments of generate_video" in told
        assert "prompt is required" in told
        check(await told_by_tool(client, LONG, {}))


@pytest.mark.parametrize("era", ERAS)
async def test_names_of_the_protocol_are_not_told_back(connect: Connect, era: Era) -> None:
    async with connect(era) as client:
        for uri in (LONG, f"ltx://jobs/{LONG}", f"ltx://jobs/x/frames/{LONG}", f"ltx://spend/{LONG}", "ltx://jobs/%00"):
            check(await refused(client.read_resource(uri)))
        check(await refused(client.get_prompt(LONG, {})))
        check(await refused(client.session.send_request(AnyRequest(method=LONG, params=RequestParams()), Result)))
        for name in ("idea", "duration", "model"):
            check(await refused(client.get_prompt("direct_video", {"idea": "a pond", name: LONG})))
        for name in ("story", "shots", "budget_usd", "duration"):
            check(await refused(client.get_prompt("storyboard", {"story": "a pond", name: LONG})))
        many = {f"{number}_{RUN}": "x" for number in range(20_000)}
        request = GetPromptRequest(params=GetPromptRequestParams(name="direct_video", arguments={"idea": "x"} | many))
        check(await refused(client.session.send_request(request, Result)))
        whole = await client.get_prompt("direct_video", {"idea": "a pond", "image": "https://example.com/a.png"})
        short = await client.get_prompt("direct_video", {"idea": "a pond", "image": f"data:image/png;base64,{LONG}"})
        assert len(short.model_dump_json()) <= len(whole.model_dump_json())
        for ref in (PromptReference(name=LONG), ResourceTemplateReference(uri=LONG)):
            for name in (LONG, "model", "image"):
                completed = await client.complete(ref, {"name": name, "value": LONG}, {LONG: LONG})
                assert completed.completion.values == []
