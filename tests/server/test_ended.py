"""A setting that chooses what its provider has ended: said by doctor and at each start, and nothing else changes."""

import logging
from pathlib import Path

import pytest

from ltx_mcp.cli.checks.settings import read_given
from ltx_mcp.cli.common import open_jobs
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.providers.catalog_loader import can_serve, make_catalog, read_providers
from ltx_mcp.server.app import make_server
from tests.providers.bench import lookup_in

pytestmark = pytest.mark.anyio

V1 = {"LTX_API_KEY": "k", "LTX_MCP_LTX_API": "v1"}


def ended(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "ended" in each.getMessage()]


@pytest.mark.parametrize(("api", "lines"), [("v1", 1), ("v2", 0), ("", 0)])
async def test_server_and_worker_say_at_their_start_that_lightricks_ended_v1(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, api: str, lines: int
) -> None:
    monkeypatch.setenv("LTX_MCP_HOME", str(home))
    monkeypatch.setenv("LTX_MCP_LTX_API", api)
    with caplog.at_level(logging.WARNING):
        make_server(*read_edge())
        assert len(ended(caplog)) == lines
        caplog.clear()
        async with open_jobs(work=True):
            assert len(ended(caplog)) == lines
        caplog.clear()
        async with open_jobs():  # a look at the jobs
            assert ended(caplog) == []


def test_doctor_warns_of_it_and_it_can_still_be_chosen() -> None:
    given = read_given(V1)
    (line,) = [line for line in given.lines if "LTX_MCP_LTX_API=v1" in line.found]
    assert (line.status, "2026-10-26" in line.found, line.mend) == ("warning", True, "Unset LTX_MCP_LTX_API.")
    assert not [line for line in read_given(V1 | {"LTX_MCP_LTX_API": "v2"}).lines if line.status != "OK"]
    ltx = next(facts for facts in read_providers() if facts.name == "ltx")
    assert can_serve(ltx, lookup_in(V1))
    assert make_catalog((ltx,), (), lambda name: V1.get(name, "")).availability["ltx"].usable
