"""A sound that is laid under a whole film: made as loud as asked, repeated where it is much too short, faded at the
end."""

import math
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from ltx_mcp.media.decode.audio_reader import AudioReader, open_audio
from ltx_mcp.media.join.audio_chain import LAYOUT, RATE, AudioChain
from ltx_mcp.media.join.loudness import LoudnessMeter
from ltx_mcp.media.join.sound import BLOCK, WIDTH

_FADE = 2 * RATE
_ENOUGH = 0.5


class Music:
    """The sound of a file under a film of `count` samples, `level` times as loud as the clips.

    One that lasts less than half of the film is repeated; a longer one is heard once. It fades over its last 2 s.
    """

    def __init__(self, path: str, level: float, count: int) -> None:
        self._path, self._count = path, count
        meter, self._length = LoudnessMeter(), 0
        for block in self._once():
            meter.add(block)
            self._length += len(block) // 2
        self._gain = level * meter.result().gain()
        repeats = self._length < count * _ENOUGH
        self._heard = count if repeats else min(count, self._length)

    def under(self, clips: "Iterable[array[float]]") -> "Iterator[array[float]]":
        """The samples of both together."""
        chain = AudioChain(("amix", "inputs=2:normalize=0:dropout_transition=0"), inputs=2)
        own, waiting, done = self._repeated(), array("f"), 0
        for block in clips:
            while len(waiting) < len(block):
                waiting.extend(next(own))
            part, waiting = waiting[: len(block)], waiting[len(block) :]
            self._shape(part, done)
            done += len(block) // 2
            if block:
                yield chain.through(block, part)

    def _repeated(self) -> "Iterator[array[float]]":
        silence = array("f", bytes(BLOCK * WIDTH))
        while self._length and self._heard:
            yield from self._once()
            if self._heard < self._count:
                break
        while True:
            yield silence

    def _once(self) -> "Iterator[array[float]]":
        with ExitStack() as stack:
            reader = AudioReader(*stack.enter_context(open_audio(self._path, "audio")), None, RATE, LAYOUT)
            while data := reader.read(BLOCK):
                yield array("f", data)

    def _shape(self, samples: "array[float]", done: int) -> None:
        last = done + len(samples) // 2
        fade = min(_FADE, self._heard)
        if last <= self._heard - fade:
            samples[:] = array("f", [self._gain * sample for sample in samples])
            return
        for place in range(len(samples)):
            left = self._heard - done - place // 2 - 0.5
            samples[place] *= self._gain * (math.sin(math.pi / 2 * min(1.0, left / fade)) if left > 0 else 0.0)
