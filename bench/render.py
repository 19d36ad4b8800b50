"""How fast previews are drawn here: whole processes, from spawn to exit, and one order through the server."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.table import Row, Table, mib, seconds, times
from bench.wire import OURS, ROOT, environment, listed
from ltx_mcp.media.messages import RenderOrder

BUDGET = 2.0
ROUNDS = 3
PROMPT = "A lighthouse on a basalt cliff at dusk, waves far below, slow aerial approach, gulls calling"
MAIN = "1080p25 6 s, sound"
LARGE = "2160p50 20 s, sound"


@dataclass(frozen=True)
class Drawn:
    """One film: its own length, and what drawing it took."""

    duration_s: float
    wall_s: float
    cpu_s: float
    peak_rss: int

    @property
    def speed(self) -> float:
        """Seconds of film in a second."""
        return self.duration_s / self.wall_s


def measure() -> Table:
    """The short films in turn, the large one once."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.jpg"
        _draw_picture(picture)
        orders = _orders(str(picture))
        drawn: dict[str, list[Drawn]] = {name: [] for name in orders}
        for number in range(ROUNDS):
            for name, order in orders.items():
                if name != LARGE or number == 0:
                    drawn[name].append(_draw(order, Path(folder) / "film.mp4"))
        served = [_serve(Path(folder) / f"home-{number}") for number in range(ROUNDS)]
    rows = [row for name, films in drawn.items() for row in _rows(name, films)]
    rows.append(Row(f"{MAIN}: ordered -> kept, over stdio", served, seconds))
    notes = [
        f"{ROUNDS} rounds in turn, {os.cpu_count()} cores; a speed is seconds of film per second of the whole process."
    ]
    return Table("render: the local preview", rows, notes)


def _orders(picture: str) -> dict[str, RenderOrder]:
    return {
        MAIN: RenderOrder(PROMPT, 1920, 1080, 25, 6, audio=True),
        "720p25 6 s, sound": RenderOrder(PROMPT, 1280, 720, 25, 6, audio=True),
        "1080p25 6 s from a 4K picture": RenderOrder(PROMPT, 1920, 1080, 25, 6, True, "dolly_in", picture),
        LARGE: RenderOrder(PROMPT, 3840, 2160, 50, 20, audio=True),
    }


def _rows(name: str, films: list[Drawn]) -> list[Row]:
    budget = BUDGET if name == MAIN else None
    return [
        Row(f"{name}: speed", [each.speed for each in films], times, budget, least=True),
        Row("  wall", [each.wall_s for each in films], seconds),
        Row("  CPU", [each.cpu_s for each in films], seconds),
        Row("  peak RSS", [each.peak_rss for each in films], mib),
    ]


def _draw(order: RenderOrder, film: Path) -> Drawn:
    began = time.perf_counter()
    command = [sys.executable, "-m", "bench.draw", json.dumps(asdict(order)), str(film)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(film.parent / "none"))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"The render ended with status {process.returncode}.")
    unit = 1 if sys.platform == "darwin" else 1024
    return Drawn(order.duration, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def _serve(home: Path) -> float:
    """Seconds from the order to the answer that names the kept film, measured and with its contact sheet."""
    with listed(OURS, home) as server:
        server.call("list_jobs")
        began = time.perf_counter()
        job = server.call("generate_video", prompt=PROMPT, provider="local")
        view = server.call("check_job", job_id=job["job_id"], wait_seconds=50)
        took = time.perf_counter() - began
    if view["state"] != "succeeded":
        raise SystemExit(f"The preview {view['state']}: {view}")
    return took


def _draw_picture(path: Path) -> None:
    """A 4K picture with detail everywhere, the same each time."""
    from PIL import Image

    tile = bytes((x * 7 ^ y * 13 ^ x * y) & 255 for y in range(270) for x in range(480))
    grey = Image.frombytes("L", (480, 270), tile)
    Image.merge("RGB", (grey, grey.rotate(180), grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).resize(
        (3840, 2160), Image.Resampling.BICUBIC
    ).save(path, quality=90)
