"""A video scaled to another size, and cut: what the edited videos of the emulated providers sometimes need."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer
    from av.filter.graph import Graph
    from av.stream import Stream
    from av.video.stream import VideoStream


def fit(path: Path, out: Path, width: int, height: int, duration: float, *, is_filled: bool = False) -> None:
    """Write the video at this size, with bars where its shape is another or `is_filled`: cut to that shape; and of this
    length in seconds at most.

    Timestamps stay as they are, and the sound is copied.
    """
    import av

    from ltx_mcp.media.remux import open_film_out

    with av.open(f"file:{path}") as source, open_film_out(out) as target:
        pictures = source.streams.video[0]
        pictures.thread_type = "AUTO"
        fitted = target.add_stream("libx264", rate=pictures.average_rate, options={"crf": "14", "preset": "veryfast"})
        fitted.width, fitted.height, fitted.pix_fmt = width, height, "yuv420p"
        fitted.codec_context.time_base = pictures.time_base or Fraction(1, 90_000)
        sound = source.streams.best("audio")
        copied = target.add_stream_from_template(sound) if sound else None
        _write_videos(source, target, fitted, duration, is_filled=is_filled)
        if sound is not None and copied is not None:
            source.seek(0)
            _copy_audio(source, target, sound, copied, duration)


def _write_videos(
    source: "InputContainer", target: "OutputContainer", fitted: "VideoStream", duration: float, *, is_filled: bool
) -> None:
    graph: Graph | None = None
    for frame in source.decode(video=0):
        if frame.time is not None and frame.time >= duration:
            break
        graph = graph or _scaler(source.streams.video[0], frame, fitted, is_filled=is_filled)
        graph.push(frame)
        target.mux(fitted.encode(graph.vpull()))
    target.mux(fitted.encode(None))


def _scaler(pictures: "VideoStream", frame: "av.VideoFrame", fitted: "VideoStream", *, is_filled: bool) -> "Graph":
    """Rotates a video that a player would rotate, scales it, and pads or cuts it."""
    from av.filter.graph import Graph

    from ltx_mcp.media.decode.shown import rotation_of

    size = f"{fitted.width}:{fitted.height}"
    scaled = f"scale={size}:force_original_aspect_ratio={'increase' if is_filled else 'decrease'}"
    shaped = (scaled, f"crop={size}" if is_filled else f"pad={size}:(ow-iw)/2:(oh-ih)/2")
    steps = [each.partition("=") for each in (*rotation_of(frame).filters, *shaped, "setsar=1", "format=yuv420p")]
    graph = Graph()
    nodes = [graph.add_buffer(template=pictures)]
    nodes += [graph.add(name, options or None) for name, _, options in steps] + [graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()
    return graph


def _copy_audio(
    source: "InputContainer", target: "OutputContainer", sound: "Stream", copied: "Stream", duration: float
) -> None:
    for packet in source.demux(sound):
        if packet.dts is None or packet.time_base is None:
            continue
        if float((packet.pts or 0) * packet.time_base) >= duration:
            break
        packet.stream = copied
        target.mux(packet)
