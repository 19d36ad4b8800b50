"""Where a smaller window lies best on each frame of a video: on what moves or stands out, and steadily.

Everything here is measured on small images, along the one axis on which the window can move. Between two cuts the
window follows one path, which is planned in both directions of time, so that it neither lags nor jumps.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import median

from PIL import Image, ImageChops, ImageFilter, ImageStat

_STEP_S, _MAX_SAMPLES = 0.2, 900
_BINS, _PLACES = 64, 61
_UNIT = 1 / (_PLACES - 1)
_SURROUND = 8  # radius of what a pixel is compared with, in pixels of a small image
_CUT, _CUT_RATIO = 16.0, 3.0
"""At a cut the mean difference of two frames is at least this much, and so many times that of their neighbours."""
_MOTION, _CONTRAST, _CENTRE = 0.7, 0.4, 0.08
"""What a window gains from the motion and from the contrast it shows, and loses at the edge of the frame."""
_FAINT_MOTION, _FAINT_CONTRAST = 0.3, 1.5
"""Levels, of 255, at which the gain is half."""
_NOTICED = 1.4
"""How many times as much as usual is noticed."""
_PER_WAY, _PER_HASTE = 2.0, 1.2
"""What a window loses for moving, by the way and by its square over the seconds; the way is part of the frame."""
_SMOOTH_S, _PASSES = 0.4, 2


@dataclass
class _Watched:
    """Some of the frames, and the numbers of those with which a shot begins."""

    samples: list[tuple[int, Image.Image]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


def window_path(
    frames: Iterable[tuple[int, Image.Image]], moments: Sequence[float], window: float, *, is_upright: bool
) -> list[float]:
    """Where the window begins at each frame: 0 is the left or upper edge, 1 - `window` the farthest it can be.

    `frames` are small images in colour with their numbers, `moments` the seconds at which each frame is shown, `window`
    is the part of the width, or with `is_upright` of the height, that is seen.
    """
    watched = _watch(frames, moments)
    step_s = _step_s(moments)
    path: list[float] = []
    for first, end in pairwise((0, *watched.cuts, len(moments))):
        images = [(number, image) for number, image in watched.samples if first <= number < end]
        gains = [_gains(profile, window) for profile in _profiles([image for _, image in images], is_upright)]
        middles = [place * _UNIT for place in _plan(gains, step_s)]
        known = list(zip((moments[number] for number, _ in images), middles, strict=True))
        path += _steady(_between(known or [(0.0, 0.5)], moments[first:end]), moments[first:end], window / 2)
    return [middle - window / 2 for middle in path]


# -- watching


def _step_s(moments: Sequence[float]) -> float:
    return max(_STEP_S, (moments[-1] - moments[0]) / _MAX_SAMPLES)


def _watch(frames: Iterable[tuple[int, Image.Image]], moments: Sequence[float]) -> _Watched:
    watched, step_s, due_s = _Watched(), _step_s(moments), 0.0
    last: deque[tuple[int, Image.Image]] = deque(maxlen=4)
    for number, image in frames:
        last.append((number, image))
        if _is_cut([shown for _, shown in last]):
            watched.cuts.append(last[2][0])
        if moments[number] >= due_s:
            watched.samples.append((number, image))
            due_s = moments[number] + step_s * 0.99
    return watched


def _is_cut(images: list[Image.Image]) -> bool:
    """Whether the third of four images begins another shot. A flash or a fast move has neighbours that differ too."""
    if len(images) < 4:
        return False
    before, across, after = (_difference(one, other) for one, other in pairwise(images))
    return across > max(_CUT, _CUT_RATIO * before, _CUT_RATIO * after)


def _difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


# -- what is of interest, in bins along the axis


def _profiles(images: list[Image.Image], is_upright: bool) -> Iterator[list[float]]:
    """For each image of a shot how much is of interest in each bin; all bins together at most _MOTION + _CONTRAST."""
    for number, image in enumerate(images):
        other = images[number - 1] if number else images[min(1, len(images) - 1)]
        motion = _along(ImageChops.difference(image, other), is_upright)
        contrast = _along(ImageChops.difference(image, image.filter(ImageFilter.GaussianBlur(_SURROUND))), is_upright)
        parts = zip(_shares(motion, _MOTION, _FAINT_MOTION), _shares(contrast, _CONTRAST, _FAINT_CONTRAST), strict=True)
        yield [moved + standing_out for moved, standing_out in parts]


def _along(image: Image.Image, is_upright: bool) -> list[float]:
    """The mean of each bin, of the colour that differs most."""
    red, green, blue = image.split()
    line = (
        ImageChops.lighter(ImageChops.lighter(red, green), blue)
        .convert("F")
        .resize((1, _BINS) if is_upright else (_BINS, 1), Image.Resampling.BOX)
    )
    return array("f", line.tobytes()).tolist()


def _shares(levels: list[float], most: float, faint: float) -> list[float]:
    """What each bin has above the usual, as shares of `most`; less in all where there is little."""
    usual = median(levels) * _NOTICED
    above = [max(0.0, level - usual) for level in levels]
    total = sum(above)
    scale = most / (total + faint * _BINS / 4)
    return [level * scale for level in above]


def _gains(profile: list[float], window: float) -> list[float]:
    """What is gained where the middle of the window is at each place: most where what is of interest is."""
    gains = []
    for middle in (place * _UNIT for place in range(_PLACES)):
        distances = (((number + 0.5) / _BINS - middle) * 2 / window for number in range(_BINS))
        seen = sum(share * max(0.0, 1 - far * far) for share, far in zip(profile, distances, strict=True) if share)
        gains.append(seen - _CENTRE * (2 * middle - 1) ** 2)
    return gains


# -- the path


def _plan(gains: list[list[float]], step_s: float) -> list[int]:
    """The place at each sample, by which most is gained in all."""
    ways = [number * _UNIT for number in range(_PLACES)]
    losses = [_PER_WAY * way + _PER_HASTE * way * way / step_s for way in ways]
    best, origins = [0.0] * _PLACES, []
    for number, gained in enumerate(gains):
        origin = list(range(_PLACES))
        if number:
            origin = [max(range(_PLACES), key=lambda old: best[old] - losses[abs(old - new)]) for new in origin]
            best = [best[old] - losses[abs(old - new)] for new, old in enumerate(origin)]
        origins.append(origin)
        best = [sum(pair) for pair in zip(best, gained, strict=True)]
    places = []
    place = max(range(_PLACES), key=lambda each: (best[each], -abs(each - _PLACES // 2)))
    for origin in reversed(origins):
        places.append(place)
        place = origin[place]
    return places[::-1]


def _between(known: list[tuple[float, float]], moments: Sequence[float]) -> list[float]:
    """The place at each moment, in a line from one known place to the next."""
    places, number = [], 0
    for moment in moments:
        while number + 1 < len(known) and known[number + 1][0] <= moment:
            number += 1
        (start_s, start), (end_s, end) = known[number], known[min(number + 1, len(known) - 1)]
        part = (moment - start_s) / (end_s - start_s) if end_s > start_s else 0.0
        places.append(start + (end - start) * min(1.0, max(0.0, part)))
    return places


def _steady(middles: list[float], moments: Sequence[float], half: float) -> list[float]:
    """The middles smoothed, and within the frame. They are kept within it only then: a window that slowed down before
    the edge would lose what goes on towards it."""
    reach = round(_SMOOTH_S * len(middles) / max(moments[-1] - moments[0], 0.001))
    within = [min(1 - half, max(half, middle)) for middle in _smoothed(middles, reach)]
    return _smoothed(within, reach // 2)


def _smoothed(places: list[float], reach: int) -> list[float]:
    """Each place as the mean of those up to `reach` before and after it, several times over."""
    for _ in range(_PASSES):
        sums = list(accumulate(places, initial=0.0))
        reaches = [min(reach, number, len(places) - 1 - number) for number in range(len(places))]
        places = [
            (sums[number + near + 1] - sums[number - near]) / (2 * near + 1) for number, near in enumerate(reaches)
        ]
    return places
