"""What the scripted model reads out of a request, in each API; and the results are those of the clients named."""

import json
from typing import Any

import pytest

from tests.clients.dialects import Call, Offered, read_offered, write
from tests.clients.environments import read_clients
from tests.clients.linter import unexplained
from tests.clients.model import filled
from tests.clients.page import RESULTS
from tests.clients.shown import Shown, read_shown

PIXELS = "iVBORw0KGgo" + "A" * 3000
URL = f"data:image/png;base64,{PIXELS}"
CALLED: dict[str, list[dict[str, Any]]] = {
    "input": [{"type": "function_call", "call_id": "call_1"}],
    "messages": [{"role": "assistant", "content": "job_old"}],
    "contents": [{"role": "model", "parts": [{"functionCall": {"name": "check_job"}}]}],
}
ANSWERS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "responses": (
        "input",
        [
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_text", "text": "job_new"}, {"type": "input_image", "image_url": URL}],
            }
        ],
    ),
    "chat, the picture in a turn of its own": (
        "messages",
        [
            {"role": "tool", "tool_call_id": "call_1", "content": '["job_new"]'},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]},
        ],
    ),
    "messages": (
        "messages",
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_1",
                        "content": [{"type": "text", "text": "job_new"}, {"type": "image", "source": {"data": PIXELS}}],
                    }
                ],
            }
        ],
    ),
    "Gemini": (
        "contents",
        [
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "check_job", "response": {"output": "job_new"}}},
                    {"inlineData": {"mimeType": "image/png", "data": PIXELS}},
                ],
            }
        ],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_newest_answer_is_read_with_its_picture(name: str) -> None:
    key, turns = ANSWERS[name]
    shown = read_shown({key: [*CALLED[key], *turns]})
    assert "job_new" in shown.text
    assert "job_old" not in shown.text
    assert (shown.pictures, shown.spilled) == (1, 0)


def test_a_picture_that_became_words_is_none() -> None:
    said = json.dumps({"content": [{"type": "image", "data": PIXELS}, {"type": "text", "text": "job_new"}]})
    shown = read_shown({"messages": [*CALLED["messages"], {"role": "tool", "content": said}]})
    assert (shown.pictures, shown.spilled) == (0, len(PIXELS))
    assert '"text": "job_new"' in shown.text
    assert PIXELS not in shown.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/messages", "/v1beta/m:generateContent"])
def test_a_call_is_written_with_its_tool_and_arguments(path: str, stream: bool) -> None:
    path = path.replace(":g", ":streamG") if stream else path
    call = Call("call_000001", Offered("mcp__ltx__check_job", "", {}), {"job_id": "job_1"})
    kind, text = write(path, {"model": "m", "stream": stream}, call)
    assert ("event-stream" in kind) == stream
    assert "mcp__ltx__check_job" in text
    assert "job_1" in text


def test_tools_are_found_in_a_namespace_and_what_strict_modes_require_is_filled() -> None:
    schema = {"properties": {"frame_at": {"type": "number"}, "state": {"type": "string"}}, "required": ["state"]}
    inner = {"type": "function", "name": "check_job", "description": "", "parameters": schema}
    body = {"tools": [{"type": "namespace", "name": "mcp__ltx__", "tools": [inner]}]}
    (tool,) = read_offered(body)
    assert (tool.name, tool.namespace) == ("check_job", "mcp__ltx__")
    assert filled({"job_id": "job_1"}, tool.schema) == {"job_id": "job_1", "state": ""}


def test_the_results_are_those_of_the_versions_named() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    told = {each.name: (each.versions, each.timeout, sorted(each.cannot)) for each in read_clients()}
    assert {name: (row["versions"], row["timeout"], sorted(row["failed"])) for name, row in kept.items()} == told


def test_the_linter_s_warnings_and_their_reasons_are_the_same_set() -> None:
    issue = {"tool": "list_jobs", "severity": "warn", "check": "required_missing", "message": "none"}
    reasons = {("required_missing", "list_jobs"): "nothing is required"}
    assert list(unexplained([issue], reasons)) == []
    assert len(list(unexplained([issue | {"severity": "error"}], reasons))) == 2
    assert len(list(unexplained([], reasons))) == 1
    assert len(list(unexplained([issue], {}))) == 1
    assert read_shown({"messages": []}) == Shown("", 0, 0)
