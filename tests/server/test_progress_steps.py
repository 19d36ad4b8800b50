"""What a waiting host is told of progress."""

from ltx_mcp.server.app_context import ProgressSteps


def test_steps_are_whole_and_grow_and_are_of_a_hundred_once_a_percentage_is_told() -> None:
    steps = ProgressSteps()
    assert [steps.next(None, status, 0) for status in ("queued", "submitting", "running")] == [
        (1, None),
        (2, None),
        (3, None),
    ]
    assert steps.next(12.7, "running", 0) == (12, 100)
    assert steps.next(12.9, "running", 1) is None
    assert steps.next(13.0, "running", 1) == (13, 100)
    assert steps.next(13.0, "running", 11) == (14, 100)  # a host must hear of it now and then
    assert steps.next(100.0, "saving", 12) == (100, 100)
    assert steps.next(100.0, "saving", 22) == (101, None)


def test_a_wait_without_a_percentage_is_counted() -> None:
    steps = ProgressSteps()
    assert [steps.next(None, "running", at) for at in range(3)] == [(1, None), (2, None), (3, None)]
