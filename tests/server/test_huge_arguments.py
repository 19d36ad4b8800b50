"""Real servers over pipes and arguments of many megabytes: memory stays a small multiple, and others are answered."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.test_stdio import Host, host

__all__ = ["host"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the most memory of a process")
ONCE = {
    "all percent-encoded": "data:image/png;base64," + "%41" * 12_000_000,
    "blanks": "data:image/png;base64," + " " * 60_000_000,
    "line ends": "data:image/png;base64," + "\n" * 30_000_000,
    "a head without end": "data:" + ";" * 60_000_000,
    "a path": "a/" * 30_000_000,
}


def most_mib(host: Host) -> int:
    status = Path(f"/proc/{host.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) // 1024


@pytest.mark.parametrize("image", ONCE.values(), ids=ONCE.keys())
def test_a_huge_argument_takes_a_small_multiple_of_its_size(image: str, host: Callable[..., Host]) -> None:
    over = host("2025-11-25")
    over.call("list_jobs")
    before = most_mib(over)
    refused = over.call("animate_image", prompt="x", image=image, provider="local")
    assert refused["isError"]
    assert len(refused["content"][0]["text"]) < 1000
    assert most_mib(over) - before < 400


def test_others_are_answered_before_a_huge_argument_is(host: Callable[..., Host]) -> None:
    over = host("2025-11-25")
    image = "data:image/png;base64," + "A%41" * 2_000_000
    huge = over.line("tools/call", {"name": "animate_image", "arguments": {"prompt": "x", "image": image}})
    number = over.number
    over.write(huge)
    for _ in range(5):
        over.call("list_jobs")
    assert over.answer(number)["result"]["isError"]
