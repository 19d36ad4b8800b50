"""The table of odd sounds: how long each is, how loud, and what is said of it."""

import math
from array import array
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.decode.audio_reader import AudioReader, open_audio, sample_bytes
from ltx_mcp.media.probe import probe_media
from tests.media.films import tones
from tests.media.odd.sounds import LENGTH_S, SOUNDS, Odd

RATE = 16_000
RIGHT = [sound for sound in SOUNDS if not sound.refused]


def named(sound: Odd) -> str:
    return sound.name


def loudness_db(samples: "array[float]") -> float:
    return 10 * math.log10(sum(sample * sample for sample in samples) / len(samples))


@pytest.mark.parametrize("sound", RIGHT, ids=named)
def test_an_odd_sound_is_as_long_as_it_is_heard(sound: Odd, tmp_path: Path) -> None:
    path = tmp_path / sound.name
    sound.make(path)
    facts = probe_media(path, "audio")
    assert abs(facts.duration - sound.seconds) <= sound.within
    assert (", ".join(facts.traits), facts.doubt) == (sound.traits, "")


@pytest.mark.parametrize("sound", RIGHT, ids=named)
def test_all_of_an_odd_sound_is_heard_as_loud_as_it_was(sound: Odd, tmp_path: Path) -> None:
    path = tmp_path / sound.name
    sound.make(path)
    with open_audio(path, "audio") as (container, stream):
        listener = AudioReader(container, stream, None, RATE)
        samples = array("f", listener.read(10 * RATE))
    channels = sample_bytes(listener.layout) // samples.itemsize
    assert len(samples) / channels / RATE == pytest.approx(sound.seconds, abs=sound.within + 0.01)
    truth = loudness_db(array("f", (value / 32768 for value in tones(RATE, LENGTH_S))))
    assert loudness_db(samples) == pytest.approx(truth, abs=1.0)


@pytest.mark.parametrize("sound", [sound for sound in SOUNDS if sound.refused], ids=named)
def test_only_what_stops_before_its_end_is_refused_and_the_second_is_said(sound: Odd, tmp_path: Path) -> None:
    path = tmp_path / sound.name
    sound.make(path)
    with pytest.raises(CallerError, match=sound.refused) as caught:
        probe_media(path, "audio")
    assert caught.value.code is ErrorCode.INPUT_FAILED
