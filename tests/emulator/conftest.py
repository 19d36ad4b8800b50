"""What the tests of one emulated provider share: an emulator for the whole file, whose state is empty for each test."""

import io
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.emulator_state import EmulatorState

Service = tuple[str, EmulatorState]
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: a client would else read every trusted certificate for each test."""


@pytest.fixture(scope="module")
def service(emulator_films: Path) -> Iterator[Service]:
    """One emulator for a file of tests."""
    with running(emulator_films) as address_and_state:
        yield address_and_state


@pytest.fixture
def state(service: Service) -> EmulatorState:
    """Its state, empty, where an order waits and runs for a thousand seconds each."""
    service[1].reset()
    service[1].wait_s = service[1].work_s = 1000
    return service[1]


def picture(kind: str = "png") -> bytes:
    """A small picture."""
    kept = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(kept, kind)
    return kept.getvalue()
