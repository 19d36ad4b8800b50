"""How a joined film sounds: all of it equally loud, no click at a cut, music below it."""

import math
from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from av.filter import Graph

from ltx_mcp.media.join.loudness import integrated
from ltx_mcp.media.messages import JoinClip
from tests.media.films import Recipe, between, heard, make
from tests.media.joined import Numbered, joined


def sounds(path: Path, pcm: "array[float]") -> Path:
    """A sound file of these stereo samples."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_f32le", rate=48_000, layout="stereo")
        frame = av.AudioFrame(format="flt", layout="stereo", samples=len(pcm) // 2)
        frame.planes[0].update(pcm.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def sine(hertz: float, seconds: float, level: float = 0.3) -> "array[float]":
    steps = range(round(seconds * 48_000))
    return array("f", [level * math.sin(math.tau * hertz * step / 48_000) for step in steps for _ in range(2)])


def measured(path: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dB of a film, by FFmpeg's own meter."""
    graph = Graph()
    with av.open(str(path)) as film:
        source = graph.add_abuffer(template=film.streams.audio[0])
        sink = graph.add("abuffersink")
        graph.link_nodes(source, graph.add("ebur128", "metadata=1:peak=true"), sink).configure()
        said: dict[str, str] = {}
        for frame in [*film.decode(audio=0), None]:
            source.push(frame)
            try:
                while True:
                    said |= {name: value for name, value in sink.pull().metadata.items()}
            except (av.error.BlockingIOError, av.error.EOFError):
                pass
    return float(said["lavfi.r128.I"]), 20 * math.log10(float(said["lavfi.r128.true_peak"]))


def power(samples: "array[float]") -> float:
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def test_clips_of_any_loudness_are_brought_to_one(tmp_path: Path) -> None:
    levels = (1.0, 0.15, 0.4)
    clips = [
        Numbered(number, frames=100, loudness=level).make(tmp_path / f"{number}.mp4")
        for number, level in enumerate(levels, 1)
    ]
    film, notes = joined(tmp_path, *(JoinClip(str(clip), continues=False) for clip in clips))
    loudness, peak = measured(film)
    assert loudness == pytest.approx(-16, abs=0.5)
    assert notes.loudness_lufs == pytest.approx(loudness, abs=0.3)
    assert peak <= -1
    whole = heard(film)
    parts = [power(between(whole, at + 0.2, at + 3.8)) for at in (0, 4, 8)]
    assert max(parts) < 1.12 * min(parts)


def test_sharp_peaks_are_held_below_one_decibel(tmp_path: Path) -> None:
    clip = Numbered(1, frames=150, has_sound=False).make(tmp_path / "1.mp4")
    clicks = sine(200, 6, 0.1)
    for at in range(0, len(clicks), 24_000):
        clicks[at : at + 40] = array("f", [0.9 * (-1) ** (step // 6) for step in range(40)])
    film, _ = joined(tmp_path, JoinClip(str(clip)), sound=str(sounds(tmp_path / "clicks.wav", clicks)))
    loudness, peak = measured(film)
    assert peak <= -1
    assert loudness == pytest.approx(-16, abs=0.5)


def test_a_nearly_silent_clip_is_not_blown_up_to_noise(tmp_path: Path) -> None:
    loud = Numbered(1, frames=75).make(tmp_path / "1.mp4")
    hiss = Numbered(2, frames=75, loudness=0.001).make(tmp_path / "2.mp4")
    whole = heard(joined(tmp_path, JoinClip(str(loud)), JoinClip(str(hiss)))[0])
    assert power(between(whole, 3.2, 5.8)) < 0.1 * power(between(whole, 0.2, 2.8))


def test_a_cut_makes_no_click_and_no_gap(tmp_path: Path) -> None:
    film = tmp_path / "tone.mp4"
    with (
        av.open(str(make(tmp_path / "silent.mp4", Recipe(audio=None, frames=100)))) as shown,
        av.open(str(film), "w") as out,
    ):
        video = out.add_stream_from_template(shown.streams.video[0])
        stream = out.add_stream("aac", rate=48_000, layout="stereo")
        for packet in shown.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
        pcm = sine(440, 4)
        frame = av.AudioFrame(format="flt", layout="stereo", samples=len(pcm) // 2)
        frame.planes[0].update(pcm.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    cut, _ = joined(tmp_path, JoinClip(str(film), 0, 1.13), JoinClip(str(film), 2.01, 3.5))
    with av.open(str(cut)) as opened:
        samples = array("f")
        for frame in opened.decode(audio=0):
            samples.frombytes(bytes(frame.planes[0])[: 4 * frame.samples])
    at = round(28 / 25 * 48_000)
    near = samples[at - 9600 : at + 9600]
    plain = samples[9600:28_800]
    steps = [max(abs(later - earlier) for earlier, later in pairwise(part)) for part in (near, plain)]
    assert steps[0] < 1.5 * steps[1]
    quiet = min(power(near[start : start + 480]) for start in range(0, len(near), 480))
    assert quiet > 0.3 * power(plain)


def test_music_is_laid_under_at_its_level_and_fades_at_the_end(tmp_path: Path) -> None:
    silent = Numbered(2, frames=150, has_sound=False).make(tmp_path / "2.mp4")
    spoken = Numbered(1, frames=150).make(tmp_path / "1.mp4")
    music = sounds(tmp_path / "music.wav", sine(440, 5))
    film, _ = joined(tmp_path, JoinClip(str(spoken)), JoinClip(str(silent)), sound=str(music), sound_level=0.25)
    whole = heard(film)
    # 5 s are less than half of 12 s: it is heard again
    assert power(between(whole, 6.3, 9.5)) == pytest.approx(0.25 * power(between(whole, 0.5, 5.5)), rel=0.4)
    assert power(between(whole, 11.9, 12)) < 0.15 * power(between(whole, 8, 9))


def test_music_of_more_than_half_the_length_is_heard_once(tmp_path: Path) -> None:
    silent = Numbered(2, frames=150, has_sound=False).make(tmp_path / "2.mp4")
    music = sounds(tmp_path / "music.wav", sine(440, 4))
    whole = heard(joined(tmp_path, JoinClip(str(silent)), sound=str(music))[0])
    assert power(between(whole, 0.5, 1.5)) > 0.05
    assert power(between(whole, 4.1, 5.9)) < 0.001


@pytest.mark.parametrize(
    ("powers", "lufs"), [((0.0, 0.0), None), ((0.1, 0.1), -10.691), ((0.1, 0.1, 1e-4), -10.691), ((1e-8,), None)]
)
def test_loudness_is_gated_as_the_norm_says(powers: tuple[float, ...], lufs: float | None) -> None:
    assert integrated(powers) == (None if lufs is None else pytest.approx(lufs, abs=0.001))
