"""One line of a log in JSON: what it is about, an error of bounded length, and nothing that opens anything."""

import json
import logging
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from ltx_mcp.log_context import LogContext, logging_about
from ltx_mcp.presentation.json_logs import JsonFormatter, hash_caller
from ltx_mcp.presentation.logs import MAX_LINE_CHARS, WINDOW_S, Repeats
from ltx_mcp.settings import read_settings

KEY, PASSWORD = "5d0c1f0e:a-key-of-somebody", "pass-of-the-database"
JOB = "job_0GzElDMbIlqOaQKKDuC2"


def written(message: str, *args: Any, error: BaseException | None = None, secrets: tuple[str, ...] = ()) -> Any:
    """What becomes of a record."""
    formatter = JsonFormatter()
    formatter.secrets = secrets
    thrown = (type(error), error, error.__traceback__) if error else None
    line = formatter.format(logging.LogRecord("ltx_mcp.jobs", logging.ERROR, "", 0, message, args, thrown))
    assert "\n" not in line
    return json.loads(line)


def thrown(text: str, deep: int = 0) -> BaseException:
    """An error with a traceback, and so many causes."""
    try:
        raise RuntimeError(text) from (thrown(text, deep - 1) if deep else None)
    except RuntimeError as error:
        return error


def test_a_line_has_what_its_task_is_about_and_no_empty_fields() -> None:
    with logging_about(LogContext("a1b2c3/7", JOB, "token|anna")):
        line = written("so it %s", "is")
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "ERROR",
        "logger": "ltx_mcp.jobs",
        "message": "so it is",
        "request": "a1b2c3/7",
        "job": JOB,
        "caller": hash_caller("token|anna"),
    }
    assert set(written("so it is")) == {"time", "level", "logger", "message"}


def test_a_job_that_only_the_message_names_is_its_job() -> None:
    assert written("%s: not told as a task", JOB)["job"] == JOB


def test_a_span_that_is_under_way_is_named() -> None:
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        line = written("inside")
    context = span.get_span_context()
    assert (int(line["trace_id"], 16), int(line["span_id"], 16)) == (context.trace_id, context.span_id)
    assert "trace_id" not in written("outside")


def test_keys_passwords_and_queries_are_struck_out_of_messages_and_tracebacks() -> None:
    settings = read_settings(
        {
            "LTX_MCP_HOME": "/home",
            "FILMS_FAL_KEY": KEY,
            "LTX_MCP_DATABASE_URL": f"postgresql://films:{PASSWORD}@db/films",
            "LTX_MCP_SIGNING_KEY": "k" * 32,
        },
    )
    said = f"Bearer {KEY} {PASSWORD} {'k' * 32} https://films.example.com/a.mp4?exp=1&sig=abcdef"
    line = written(said, error=thrown(said), secrets=settings.secrets)
    assert line["error"]["type"] == "RuntimeError"
    assert "raise RuntimeError" in line["error"]["traceback"]
    assert [each for each in (KEY, PASSWORD, "k" * 32, "sig=") if each in json.dumps(line)] == []
    assert "/home" not in settings.secrets


def test_a_key_is_struck_out_before_a_long_line_is_cut_in_the_middle_of_it() -> None:
    for before in range(MAX_LINE_CHARS - len(KEY) - 30, MAX_LINE_CHARS):
        line = written("x" * before + KEY, error=thrown("y" * before + KEY), secrets=(KEY,))
        assert KEY[:8] not in json.dumps(line), before


def test_a_line_without_words_has_a_message_too() -> None:
    assert written("", error=thrown("it broke"))["message"] == ""


@pytest.mark.parametrize("deep", [0, 30])
def test_a_line_stays_shorter_than_what_container_runtimes_cut(deep: int) -> None:
    line = written("x" * 100_000, error=thrown("y" * 100_000, deep))
    assert len(json.dumps(line)) < 16_384
    assert line["error"]["traceback"].rstrip().endswith(("y", "…"))


def test_a_summary_of_what_was_left_out_is_about_no_request(capsys: pytest.CaptureFixture[str]) -> None:
    now_s, handler = 0.0, logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Repeats(handler, lambda: now_s))
    root = logging.Logger("root")
    root.addHandler(handler)
    with logging_about(LogContext("a1b2c3", JOB)):
        for _ in range(2):
            root.warning("gone")
        now_s = WINDOW_S
        root.warning("another")
    first, summary, _ = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["job"], summary["message"].endswith("once and left out")) == (JOB, True)
    assert {"job", "request"} & set(summary) == set()
