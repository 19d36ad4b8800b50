"""Converts a video or an audio file that a provider would refuse, without loss where possible."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import av
from av.container import OutputContainer

from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.decode.audio_reader import first_audio_s, open_audio
from ltx_mcp.media.decode.source_video import SourceVideo, read_source
from ltx_mcp.media.probe import Kind, probe_media
from ltx_mcp.media.remux import write_all
from ltx_mcp.media.tracks import Silence, Track, make_track

_CRF = 14


def convert_media(path: str | Path, out: Path, kind: Kind) -> MediaInfo:
    """Writes a video as MP4 with H.264, or an audio, which may be a video's, as M4A with AAC; gives what was written.

    CallerError (input_failed) where it cannot be read.
    """
    if kind == "video":
        source = read_source(path)
        copied = () if source.shown.traits else ("h264",)
        write_all(out, source, partial(_make_track, source), lambda part: None, copied, _CRF)
    else:
        _write_audio(path, out)
    return probe_media(out, kind)


def _make_track(source: SourceVideo, container: OutputContainer, stack: ExitStack) -> Track:
    if not source.has_audio:
        return Silence()
    opened, stream = stack.enter_context(open_audio(source.path, "video"))
    return make_track(container, opened, stream, source.start_s, copied=("aac",))


def _write_audio(path: str | Path, out: Path) -> None:
    origin = first_audio_s(path)
    with (
        av.open(str(out), "w", format="ipod", options={"movflags": "+faststart"}) as container,
        open_audio(path, "audio") as (opened, stream),
    ):
        make_track(container, opened, stream, origin, copied=("aac",)).finish()
