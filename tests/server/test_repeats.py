"""The log says the same once a minute, at most so many different things of one place, and how much it left out."""

import io
import logging

import pytest

from ltx_mcp.presentation.logs import MAX_WARNINGS, WINDOW_S, Repeats


class Log:
    """A logger with one handler, as a process has it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        self.repeats = Repeats(handler, lambda: self.now_s)
        handler.addFilter(self.repeats)
        self.root = logging.Logger("root")
        self.root.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    def warn(self, text: str, *args: object) -> None:
        self.root.warning(text, *args)


@pytest.fixture
def log() -> Log:
    return Log()


def test_the_same_line_is_written_once_a_minute_with_how_often_it_was_left_out(log: Log) -> None:
    for _ in range(10_000):
        log.warn("no more files")
    assert log.lines == ["no more files"]
    log.now_s = WINDOW_S
    log.warn("no more files")
    assert log.lines[1:] == ["a line like the last one of root was repeated 9,999 times and left out", "no more files"]


def test_lines_that_differ_are_written_up_to_a_bound(log: Log) -> None:
    for number in range(1000):
        log.warn("job %s failed", number)
    log.root.warning("something else")
    assert log.lines == [*(f"job {number} failed" for number in range(MAX_WARNINGS)), "something else"]


def test_what_was_left_out_is_told_at_the_end_where_nothing_more_is_said(log: Log) -> None:
    for _ in range(3):
        log.warn("gone")
    log.repeats.report_all()
    log.repeats.report_all()
    assert log.lines == ["gone", "a line like the last one of root was repeated 2 times and left out"]


def test_the_same_words_about_another_error_are_another_line(log: Log) -> None:
    for error in (ValueError("a"), ValueError("b"), ValueError("a")):
        log.root.error("it broke", exc_info=(type(error), error, None))
    assert log.lines.count("it broke") == 2


def test_one_trouble_is_one_line_a_minute_whatever_figures_it_is_told_with(log: Log) -> None:
    """As a full disk is: each job that waits for room tells it every few seconds, with what is left."""
    for second in range(0, 180, 7):
        log.now_s = second
        for job in ("a", "b"):
            left = f"job_{job}: the disk has {second / 10:.1f} MB left"
            log.root.error("%s", left, extra={"trouble": "storage_failed"})
    assert log.lines == [f"job_a: the disk has {left} MB left" for left in ("0.0", "6.3", "12.6")]


def test_what_cannot_say_what_it_is_breaks_nothing_where_it_is_logged(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.root.error("it broke", exc_info=(Mute, Mute(), None))
    log.warn("%s", Mute())
    log.warn("and on")
    assert (log.lines[0], log.lines[-1]) == ("it broke", "and on")
