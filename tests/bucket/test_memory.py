"""A film of any size goes up and comes down in little memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bucket.seaweed import S3Server
from tests.patience import HANG_S

FILM_MIB, MOST_MIB = 200, 25
CARRY = """
import os, sys
from pathlib import Path
import anyio
from ltx_mcp.jobs.bucket.objects import Objects

def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

async def carry(address, film):
    objects = Objects(address, lambda name: os.environ.get(name, ""))
    await objects.create("first", b"x", "text/plain")
    before = peak_mib()
    await objects.put("film.mp4", film, "video/mp4")
    up = peak_mib()
    await objects.get("film.mp4", film.with_name("again.mp4"), lambda size: None)
    print(up - before, peak_mib() - before)

anyio.run(carry, sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_two_hundred_megabytes_are_carried_in_twenty_five(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        for _ in range(FILM_MIB):
            file.write(os.urandom(1 << 20))
    command = [sys.executable, "-c", CARRY, bucket, str(film)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8", timeout=2 * HANG_S)
    up, down = map(float, done.stdout.split())
    assert up <= MOST_MIB
    assert down <= MOST_MIB
    assert (tmp_path / "again.mp4").stat().st_size == FILM_MIB << 20
