"""What is left out of the instrumentations of others, at the places where they would look."""

import os
import sys
from typing import Any

import click
import pytest

from ltx_mcp.cli.main import COMMANDS, cli
from ltx_mcp.media.client import _surroundings
from ltx_mcp.server.video_route import HidesQuery

pytestmark = pytest.mark.anyio


def commands() -> list[click.Command]:
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in COMMANDS]
    below = [command for group in found if isinstance(group, click.Group) for command in group.commands.values()]
    return [command for command in (*found, *below) if command is not None]


def test_no_command_that_serves_or_takes_a_prompt_is_one_that_click_traces() -> None:
    """A span of it would have the whole command line, and would be the parent of every request."""
    traced = [command for command in commands() if type(command) is click.Command]
    takes_a_prompt = [each.name for each in traced if "prompt" in {option.name for option in each.params}]
    assert takes_a_prompt == []
    assert {"serve", "work"} & {command.name for command in traced} == set()
    assert len(traced) > 5


async def test_the_query_of_a_request_is_hidden_from_what_is_further_inside() -> None:
    seen: list[Any] = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    nobody: Any = None
    told = {"type": "http", "path": "/videos/job_a.mp4", "query_string": b"exp=1&sig=a-signature"}
    await HidesQuery(inside)(told, nobody, nobody)
    assert seen[0]["query_string"] == b""


def test_a_media_process_does_not_start_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no network, and none of the settings that say where to tell."""
    folder = os.path.join(os.sep, "venv", "opentelemetry", "instrumentation", "auto_instrumentation")
    monkeypatch.setenv("PYTHONPATH", folder)
    monkeypatch.setattr(sys, "path", [folder, *sys.path])
    assert "auto_instrumentation" not in _surroundings()["env"]["PYTHONPATH"]
    assert os.pathsep in _surroundings()["env"]["PYTHONPATH"]
