"""How fast shots are joined to a film here: all encoded and all copied."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.table import Row, Table, mib, seconds, times
from bench.wire import ROOT, environment
from ltx_mcp.media.messages import JoinClip, JoinOrder, RenderOrder

SHOTS = 40
RATE = 24
SHOT_S = 5
ENCODED, COPIED = 3.0, 50.0
PROMPT = "A lighthouse on a basalt cliff at dusk, waves far below, slow aerial approach, gulls calling"


@dataclass(frozen=True)
class JoinedFilm:
    """One film: its own length, and what joining it took; `took_s` without the start of Python."""

    duration_s: float
    took_s: float
    cpu_s: float
    peak_rss: int

    @property
    def speed(self) -> float:
        """Seconds of film in a second."""
        return self.duration_s / self.took_s


def measure() -> Table:
    """Each film once: they are long."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {
            f"{SHOTS} shots of 1080p{RATE}, all encoded": (_film(_stored(folder, "mkv", audio=True)), ENCODED),
            f"{SHOTS} shots of 1080p{RATE}, all copied, silent": (_film(_stored(folder, "mp4", audio=False)), COPIED),
            f"{SHOTS} shots of 1080p{RATE}, all copied, sound": (_film(_stored(folder, "mp4", audio=True)), None),
            "6 shots of 2160p50, all encoded": (_large(folder), None),
        }
        rows = [row for what, (order, budget) in made.items() for row in _rows(what, _join(order, folder), budget)]
    notes = [f"Shots of {SHOT_S} s as the preview draws them, {os.cpu_count()} cores; sound is always encoded."]
    return Table("join: shots to a film", rows, notes)


def _rows(what: str, film: JoinedFilm, budget: float | None) -> list[Row]:
    return [
        Row(f"{what}: speed", [film.speed], times, budget, least=True),
        Row("  wall", [film.took_s], seconds),
        Row("  CPU", [film.cpu_s], seconds),
        Row("  peak RSS", [film.peak_rss], mib),
    ]


def _film(shot: Path, shots: int = SHOTS, size: tuple[int, int] = (1920, 1080), rate: int = RATE) -> JoinOrder:
    return JoinOrder(tuple([JoinClip(str(shot), continues=False)] * shots), *size, rate)


def _large(folder: Path) -> JoinOrder:
    shot = _drawn(folder / "large.mp4", RenderOrder(PROMPT, 3840, 2160, 50, 2, audio=True))
    return _film(_in_matroska(shot), 6, (3840, 2160), 50)


def _stored(folder: Path, ending: str, *, audio: bool) -> Path:
    """A shot in a container whose frames are copied, or in one that has them encoded."""
    shot = _drawn(folder / f"shot-{audio}.mp4", RenderOrder(PROMPT, 1920, 1080, RATE, SHOT_S, audio=audio))
    return shot if ending == "mp4" else _in_matroska(shot)


def _drawn(path: Path, order: RenderOrder) -> Path:
    if not path.exists():
        command = [sys.executable, "-m", "bench.draw", json.dumps(asdict(order)), str(path)]
        subprocess.run(command, cwd=ROOT, env=environment(path.parent / "none"), check=True)
    return path


def _in_matroska(shot: Path) -> Path:
    import av

    path = shot.with_suffix(".mkv")
    with av.open(str(shot)) as source, av.open(str(path), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return path


def _join(order: JoinOrder, folder: Path) -> JoinedFilm:
    command = [sys.executable, "-m", "bench.join_film", json.dumps(asdict(order)), str(folder / "film.mp4")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(folder / "none"), stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = json.loads(process.stdout.read() or "{}")
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"The join ended with status {process.returncode}.")
    unit = 1 if sys.platform == "darwin" else 1024
    return JoinedFilm(said["duration"], said["took_s"], usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)
