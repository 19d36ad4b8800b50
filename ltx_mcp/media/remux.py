"""Writes a video again as an MP4: its frames copied where possible, else encoded with little loss."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.media.decode.shown import PLAIN
from ltx_mcp.media.decode.source_video import SourceVideo, add_video_stream, kept_frames
from ltx_mcp.media.messages import ReportProgress
from ltx_mcp.media.probe import open_media, require_video
from ltx_mcp.media.tracks import Track

MakeTrack = Callable[[OutputContainer, ExitStack], Track]

_STEP_S = 0.25


def open_film_out(out: Path) -> OutputContainer:
    """An MP4 to be written, which a player can start before it is complete."""
    return av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"})


def encode_video(
    out: Path,
    source: SourceVideo,
    frames: Iterable[av.VideoFrame],
    length: int,
    make_track: MakeTrack,
    report: ReportProgress,
    crf: int,
) -> None:
    """Writes frames of the source, or between those, `length` ticks in all, and the track that goes with them."""
    with open_film_out(out) as container, ExitStack() as stack:
        video = add_video_stream(container, source, _options(source, crf))
        track = make_track(container, stack)
        _write(container, _encoded(video, frames), length, source, track, report)


def write_all(
    out: Path, source: SourceVideo, make_track: MakeTrack, report: ReportProgress, copied: tuple[str, ...], crf: int
) -> None:
    """Writes all frames of the source; a video in one of the codecs of `copied` is not touched."""
    if source.codec in copied and source.pixels in PLAIN and source.stored and not source.shown.tone:
        try:
            _copy(out, source, make_track, report)
        except (av.FFmpegError, CallerError):
            # An MP4 cannot hold it as it is; encoded anew, it can. What is really damaged fails again.
            pass
        else:
            return
    frames = (frame for _, frame in kept_frames(source))
    encode_video(out, source, frames, source.length, make_track, report, crf)


def _copy(out: Path, source: SourceVideo, make_track: MakeTrack, report: ReportProgress) -> None:
    with open_film_out(out) as container, ExitStack() as stack:
        opened = stack.enter_context(open_media(source.path, "video"))
        stream = require_video(opened)
        video = container.add_stream_from_template(stream)
        video.time_base = source.tick
        if source.codec == "hevc":
            # Apple's players know it by this name alone.
            video.codec_context.codec_tag = "hvc1"
        track = make_track(container, stack)
        _write(container, _copied(opened, stream, video, source), source.length, source, track, report)


def _copied(
    opened: InputContainer, stream: VideoStream, video: VideoStream, source: SourceVideo
) -> "Iterator[Packet[VideoStream]]":
    """The source's packets, timed by its clock; not every container says when a frame is to be decoded."""
    moments = source.moments
    delay = max(moments[number] - moments[shown] for number, shown in enumerate(source.stored))
    packets = (packet for packet in opened.demux(stream) if packet.size)
    for number, (packet, shown) in enumerate(zip(packets, source.stored, strict=True)):
        packet.stream, packet.time_base = video, source.tick
        packet.pts, packet.dts, packet.duration = moments[shown], moments[number] - delay, source.shown_for(shown)
        yield packet


def _encoded(video: VideoStream, frames: Iterable[av.VideoFrame]) -> "Iterator[Packet[VideoStream]]":
    shown_for: dict[int | None, int] = {}
    for frame in chain(frames, [None]):
        if frame is not None:
            shown_for[frame.pts] = frame.duration
        for packet in video.encode(frame):
            packet.duration = shown_for.pop(packet.pts)
            yield packet


def _write(
    container: OutputContainer,
    packets: "Iterator[Packet[VideoStream]]",
    length: int,
    source: SourceVideo,
    track: Track,
    report: ReportProgress,
) -> None:
    """Writes the video packets; the audio track follows."""
    seconds, done = float(length * source.tick), 0.0
    last_shown, last_span = 0, 0
    for packet, following in pairwise(chain(packets, [None])):
        assert packet is not None
        pts, span = packet.pts or 0, packet.duration or 0
        if pts >= last_shown:
            last_shown, last_span = pts, span
        if following is None:
            # Players add up the steps in which frames are stored, whose last need not be the last one shown.
            packet.duration = last_span
        container.mux(packet)
        if pts * source.tick >= done + _STEP_S:
            done = float(pts * source.tick)
            track.follow(done)
            report(min(1.0, done / seconds))
    track.finish()


def _options(source: SourceVideo, crf: int) -> dict[str, str]:
    # mbtree would take bits from what does not last, and film grain is that; qmax bounds the loss of every frame.
    return {
        "preset": "veryfast",
        "crf": str(crf),
        "qmax": str(crf + 4),
        "g": str(max(1, round(2 * source.rate))),
        "threads": "4",
        "x264-params": "mbtree=0:pbratio=1.0:ipratio=1.1",
    }
