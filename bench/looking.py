"""How long looking at a large input takes here: a whole process each, from spawn to exit, as the media child looks."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from bench.table import Row, Table, mib, seconds
from bench.wire import ROOT, environment

BUDGET_S, BUDGET_BYTES = 10.0, 1 << 30
ROUNDS = 3
LENGTH_S = 20


@dataclass(frozen=True)
class Large:
    """An input that takes long to look at."""

    name: str
    file: str
    kind: Literal["picture", "video", "audio"]
    make: Callable[[Path], None]


def draw_film(path: Path) -> None:
    """20 s of 4K at 25 frames a second in H.264, with sound."""
    import av
    from PIL import Image

    with av.open(str(path), "w", format="mp4") as out:
        picture = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "28", "g": "50"})
        picture.width, picture.height, picture.pix_fmt = 3840, 2160, "yuv420p"
        sound = out.add_stream("aac", rate=48_000, layout="stereo")
        tile = Image.frombytes("L", (480, 270), bytes((x * 7 ^ y * 13) & 255 for y in range(270) for x in range(480)))
        wide = tile.resize((3840, 2400), Image.Resampling.BICUBIC).convert("RGB")
        for number in range(LENGTH_S * 25):
            shown = wide.crop((0, number % 240, 3840, number % 240 + 2160))
            frame: av.VideoFrame = av.VideoFrame.from_image(shown)  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode())
        for block in range(LENGTH_S * 48_000 // 960):
            heard = av.AudioFrame(format="fltp", layout="stereo", samples=960)
            for plane in heard.planes:
                plane.update(bytes(4 * 960))
            heard.sample_rate, heard.pts, heard.time_base = 48_000, 960 * block, Fraction(1, 48_000)
            out.mux(sound.encode(heard))
        out.mux(sound.encode())


def write_sound(path: Path) -> None:
    """20 s of stereo in 16 bits."""
    import wave

    with wave.open(str(path), "wb") as out:
        out.setparams((2, 2, 48_000, 0, "NONE", ""))
        out.writeframes(bytes(4 * 48_000 * LENGTH_S))


INPUTS = (
    Large("4K film of 20 s", "film.mp4", "video", draw_film),
    Large("WAV of 20 s", "sound.wav", "audio", write_sound),
)


def measure() -> Table:
    """Each input in turn."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for large in INPUTS:
            path = Path(folder) / large.file
            _run("make", large.file, path)
            looks = [_run(large.kind, str(path), path) for _ in range(ROUNDS)]
            rows.append(Row(f"{large.name}: wall", [wall for wall, _ in looks], seconds, BUDGET_S))
            rows.append(Row("  peak RSS", [peak for _, peak in looks], mib, BUDGET_BYTES))
    return Table("looking: at large inputs", rows, [f"{ROUNDS} rounds, {os.cpu_count()} cores."])


def _run(what: str, argument: str, path: Path) -> tuple[float, float]:
    """Seconds, and the most memory that was used, of this module in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "bench.looking", what, argument, str(path)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(path.parent / "none"), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what} {path.name} ended with status {process.returncode}.")
    return time.perf_counter() - began, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(what: str, argument: str, path: str) -> None:
    """Makes an input, or does with it what the child does."""
    if what == "make":
        next(large for large in INPUTS if large.file == argument).make(Path(path))
        return
    from ltx_mcp.media.image import probe_image
    from ltx_mcp.media.probe import probe_media

    print(probe_image(path) if what == "picture" else probe_media(path, "audio" if what == "audio" else "video"))


if __name__ == "__main__":
    main(*sys.argv[1:])
