"""The soft sound of a preview: a quiet chord that breathes, made once as a short loop and repeated."""

import math
import random
from array import array

RATE = 48_000
_LOOP_S = 2  # every tone fits this loop a whole number of times, so that it repeats without a click
_FADE_S = 1.2
_ROOTS_HZ = (98.0, 110.0, 123.5, 130.5, 146.5)
_CHORDS = ((1.0, 1.5, 2.5), (1.0, 2.0, 3.0), (1.0, 1.5, 2.4), (1.0, 1.5, 2.25))


def make_pad(samples: int, rng: random.Random) -> bytes:
    """That many samples of 16-bit stereo at 48 kHz, faded in and out."""
    loop = _make_loop(rng)
    track = array("h", (loop * (samples * 4 // len(loop) + 1))[: samples * 4])
    fade = min(round(_FADE_S * RATE), samples // 2)
    for step in range(fade):
        gain = (step / fade) ** 2
        for place in (2 * step, 2 * step + 1, -2 * step - 1, -2 * step - 2):
            track[place] = round(track[place] * gain)
    return track.tobytes()


def _make_loop(rng: random.Random) -> bytes:
    count = RATE * _LOOP_S
    sine = [math.sin(step * math.tau / count) for step in range(count)]
    root = rng.choice(_ROOTS_HZ)
    chord = [0.0] * count
    for number, ratio in enumerate(rng.choice(_CHORDS)):
        # Two tones half a hertz apart beat once in the loop: the pad breathes.
        cycles, level, lag = round(root * ratio * _LOOP_S), 1700 / (1 + number * 0.6), rng.randrange(count)
        tones = [sine[step * cycles % count] + sine[(step * (cycles + 1) + lag) % count] for step in range(count)]
        chord = [old + level * new for old, new in zip(chord, tones, strict=True)]
    left = array("h", map(int, chord))
    stereo = array("h", bytes(4 * count))
    stereo[0::2] = left
    # The other ear hears the same loop from elsewhere: width for nothing.
    stereo[1::2] = left[count // 3 :] + left[: count // 3]
    return stereo.tobytes()
