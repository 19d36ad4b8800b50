"""Whatever is said to a tool, the answer is of its published form or one sentence with a known code, and in time.

ARGUMENT_EXAMPLES=2000 looks longer, and at other examples each time.
"""

import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import CallToolResult, TextContent

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.emulator.app import settings as emulated
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS
from tests.examples import examples
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.tool_list import ORDER, SHOT, TOOLS

EXAMPLES = examples("ARGUMENT_EXAMPLES", fast=30, every=80)
IN_TIME_S = HANG_S
CODES = frozenset(map(str, ErrorCode)) - {"internal_error"}

# -- what can be said -------------------------------------------------------------------------------------------

ODD_TEXTS = [
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "x\udfff",
        "NaN",
        "-Infinity",
        "1e999",
        "٣",
        "6",
        "true",
        "null",
        "auto",
        "nearest",
    ),
    *("\u202eevas", "🎬" * 30, "x" * 6000, "é" * 201, "../../etc/passwd", "~nobody/x", "https://[::1", "https://\0/"),
    *(
        "{huge}",
        "{job}",
        "{job}#last",
        "{job}#1e9",
        "{job}#" + "9" * 400,
        "job_" + "a" * 20,
        "data:image/png;base64,%00",
        "data:,",
    ),
    *(
        "https://127.0.0.1:99999/a.png",
        "file:///etc/passwd",
        "{cursor}",
        "am9iXwA=",
        "AAAA",
        "2160p",
        "extend",
        "%s{0}",
    ),
]
ODD_NUMBERS = [0, -1, 7, 24, 50, 51, 1000, 10**18, 2**63, 10**400, -(10**400), 1e308, 5e-324, -0.0, 0.1 + 0.2]
texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=30)
# the client itself cannot write a name with half a character in it
names = texts.filter(lambda text: text.encode("utf-8", "replace").decode() == text)
numbers = st.sampled_from(ODD_NUMBERS) | st.integers() | st.floats()
leaves = st.none() | st.booleans() | numbers | texts
nests = st.integers(5, 150).map(lambda depth: json.loads("[" * depth + "]" * depth))
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
anything = st.dictionaries(names | st.sampled_from(sorted(ORDER)), values | nests, max_size=4)


@st.composite
def nearly(draw: st.DrawFn, valid: dict[str, Any]) -> dict[str, Any]:
    """Valid arguments with one or two values replaced, one left out, or one too many."""
    said = dict(valid)
    for name in draw(st.lists(st.sampled_from(sorted(valid)), min_size=1, max_size=2)):
        said[name] = draw(leaves | leaves | leaves | values | nests)
    if not draw(st.integers(0, 5)):
        said.pop(draw(st.sampled_from(sorted(valid))), None)
    if not draw(st.integers(0, 5)):
        said[draw(names)] = draw(leaves)
    return said


# -- who is asked -----------------------------------------------------------------------------------------------


class Errors(logging.Handler):
    """What was logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


@dataclass
class Server:
    """One client for all examples, in an event loop of its own; no paid order is within its budget of nothing."""

    portal: BlockingPortal
    client: Client
    schemas: dict[str, Draft202012Validator]
    errors: Errors
    job_id: str = ""
    cursor: str = ""

    def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """The answer, within IN_TIME_S."""

        async def bounded() -> CallToolResult:
            with anyio.fail_after(IN_TIME_S):
                return await self.client.call_tool(tool, arguments)

        return self.portal.call(bounded)

    def placed(self) -> set[str]:
        listed = self.call("list_jobs", {"limit": 100}).structured_content
        assert listed is not None
        assert "next_cursor" not in listed
        return {row["job_id"] for row in listed["jobs"]}

    def check(self, tool: str, arguments: dict[str, Any]) -> None:
        """The promise, for these arguments."""
        self.errors.records.clear()
        before = self.placed()
        answer = self.call(tool, self.filled(arguments))
        text = answer.content[0].text if isinstance(answer.content[0], TextContent) else ""
        new = self.placed() - before
        for job_id in new:
            self.call("cancel_job", {"job_id": job_id})
        assert self.errors.records == []
        if any(isinstance(value, str) and "\0" in value for value in arguments.values()):
            assert text.startswith("invalid_request: "), "no database takes this"
        assert "Traceback" not in text
        assert text.encode()
        assert len(text) < 5000
        if answer.is_error:
            assert text.split(": ")[0] in CODES
            assert answer.structured_content is None
            assert new == set(), "refused, and placed all the same"
        else:
            self.schemas[tool].validate(facts_of(answer))
            assert len(new) <= (tool.startswith(("generate", "animate", "extend", "retake", "join")))

    def filled(self, said: Any) -> Any:
        """With a job and a cursor that there are, and a number that Python itself will not write down."""
        match said:
            case "{huge}":
                return 10**5000
            case str():
                return said.replace("{job}", self.job_id).replace("{cursor}", self.cursor)
            case dict():
                return {name: self.filled(value) for name, value in said.items()}
            case list():
                return [self.filled(value) for value in said]
        return said


@asynccontextmanager
async def connected(home: Path) -> AsyncIterator[Client]:
    money = {"LTX_MCP_BUDGET_USD_PER_DAY": "0", "LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(home.parent)}
    read = read_settings(money | emulated("http://127.0.0.1:9"), PROVIDER_SETTINGS)
    server, _ = make_server(read, make_catalog(read_providers(), read.providers, read.lookup))
    async with Client(server) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one job, which was cancelled."""
    home, errors = tmp_path_factory.mktemp("any") / "home", Errors()
    logging.getLogger().addHandler(errors)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected(home)) as client:
        tools = portal.call(client.list_tools).tools
        schemas = {tool.name: Draft202012Validator(tool.output_schema or {}) for tool in tools}
        made = Server(portal, client, schemas, errors)
        first = made.call("generate_video", SHOT | {"provider": "local"})
        made.job_id = str((first.structured_content or {})["job_id"])
        made.call("cancel_job", {"job_id": made.job_id})
        made.cursor = base64.urlsafe_b64encode(made.job_id.encode()).decode()
        yield made
    logging.getLogger().removeHandler(errors)


def test_every_tool_is_asked(server: Server) -> None:
    assert TOOLS.keys() == server.schemas.keys()


@pytest.mark.parametrize("tool", TOOLS)
def test_any_json_at_all(server: Server, tool: str) -> None:
    @EXAMPLES
    @given(anything)
    def check(arguments: dict[str, Any]) -> None:
        server.check(tool, arguments)

    check()


@pytest.mark.parametrize("tool", TOOLS)
def test_arguments_that_are_nearly_right(server: Server, tool: str) -> None:
    valid = TOOLS[tool].arguments

    @EXAMPLES
    @example(valid)
    @example(dict.fromkeys(valid, "{huge}"))
    @example({name: "a\0b" if isinstance(value, str) else value for name, value in valid.items()})
    @given(nearly(valid))
    def check(arguments: dict[str, Any]) -> None:
        server.check(tool, arguments)

    check()
