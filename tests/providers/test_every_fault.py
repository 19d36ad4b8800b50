"""The rows of tests/providers/faults.py that test_faults.py leaves out: every fault at every provider."""

from pathlib import Path

import pytest

from tests.providers.bench import Bench
from tests.providers.clips import Clips
from tests.providers.faults import V1, Row
from tests.providers.test_faults import FIRST, ROWS, bench, bench_v1, check

__all__ = ["bench", "bench_v1"]

pytestmark = pytest.mark.anyio

OTHERS = [row for row in ROWS if row not in FIRST]


@pytest.mark.parametrize("row", OTHERS, ids=[row.name for row in OTHERS])
async def test_the_job_ends_as_the_table_says(
    row: Row, bench: Bench, bench_v1: Bench, clips: Clips, tmp_path: Path
) -> None:
    await check(row, bench_v1 if row.provider == V1 else bench, clips, tmp_path)
