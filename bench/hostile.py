"""A paid order beside six hostile inputs, and eight conversions at once: who waits for whom, and what it costs."""

import io
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import av
from PIL import Image

from bench.fal import emulator
from bench.process import Memory, count_family, family_memory, is_known, memory
from bench.table import Row, Table, count, mib, ratios, seconds, times
from bench.wire import OURS, Server, Told, listed, structured
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.lanes import Sizes

ROUNDS, HOSTILE, CONVERSIONS = 2, 6, 8
RATIO_BUDGET = 2.0
SMALL = {"provider": "fal", "model": "ltx-2.3-fast", "generate_audio": False}
# The first has too many scans for any picture, the second for one of its size.
KINDS = {"700 scans": (700, (4_000, 3_000)), "100 scans of 96 megapixels": (100, (16_000, 6_000))}


@dataclass
class Figures:
    """Seconds of each order from call to film, alone and beside the hostile inputs, and of each hostile call."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)


def measure() -> Table:
    """Each round an order alone, then one beside six hostile inputs; then the conversions."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.linear_gradient("L").resize((1280, 720)).convert("RGB").save(folder / "innocent.png")
        for kind, (scans, size) in KINDS.items():
            (folder / "hostile.jpg").write_bytes(_repeated(scans, size))
            figures = _measure_orders(folder)
            rows += [
                Row(f"an order with a picture, alone ({kind})", figures.alone, seconds),
                Row(f"the same beside {HOSTILE} hostile pictures", figures.beside, seconds),
                Row("  of it alone", ratios(figures.beside, figures.alone), times, RATIO_BUDGET),
                Row("a hostile call, to its refusal", figures.refused, seconds),
            ]
        rows += _measure_conversions(folder) if is_known() else []
    note = f"{ROUNDS} rounds of each kind, at the emulated fal.ai, which finishes an order after 0.6 s."
    return Table("hostile: inputs that are made to take long, and many conversions", rows, [note])


def _repeated(scans: int, size: tuple[int, int]) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (120, 30, 200)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + data[-2:]


def _measure_orders(folder: Path) -> Figures:
    figures = Figures()
    for number in range(ROUNDS):
        home = Path(tempfile.mkdtemp(dir=folder)) / "home"
        more = {"LTX_MCP_INPUT_DIRS": str(folder)}
        with emulator(folder / "films") as (_, settings), listed(OURS, home, more=settings | more) as server:
            _order(server, "A first one, so that the film is drawn")
            figures.alone.append(_order(server, f"A lighthouse, alone {number}"))
            began = time.time()
            waiting = {_ask(server, "hostile.jpg", f"Hostile {each}") for each in range(HOSTILE)}
            server.told.clear()
            figures.beside.append(_order(server, f"A lighthouse, beside {number}"))
            figures.refused += _refusals(server, waiting, began)
    return figures


def _ask(server: Server, picture: str, prompt: str) -> int:
    return server.send(
        "tools/call", {"name": "animate_image", "arguments": {"prompt": prompt, "image": picture, **SMALL}}
    )


def _order(server: Server, prompt: str) -> float:
    """Seconds from the call to the film."""
    began = time.time()
    job = structured(server.receive(_ask(server, "innocent.png", prompt)))
    view = job
    while view["state"] in ("queued", "submitting", "running", "saving"):
        view = server.call("check_job", job_id=job["job_id"], wait_seconds=45, frames=False)
    if view["state"] != "succeeded":
        raise SystemExit(f"The order {view['state']}: {view}")
    return time.time() - began


def _refusals(server: Server, waiting: set[int], began: float) -> list[float]:
    """Seconds from the first hostile call to each refusal; other answers end the measurement."""
    while waiting - (came := {each.message.get("id") for each in server.told}):
        message = json.loads(server.read_line())
        server.told.append(Told(time.time(), message))
    answers = [each for each in server.told if each.message.get("id") in came & waiting]
    for each in answers:
        text = each.message["result"]["content"][0]["text"]
        if not text.startswith(("input_failed", "rate_limited")):
            raise SystemExit(f"A hostile input was not refused: {text}")
    return [each.at - began for each in answers]


def _measure_conversions(folder: Path) -> list[Row]:
    """Eight films converted at once: how many processes at the most, and how much memory they take together."""
    film = folder / "film.mkv"
    with av.open(str(film), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(75):
            picture = Image.effect_noise((480, 270), 60).resize((1920, 1080)).convert("RGB")
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    children, sizes, took_s = anyio.run(_convert_all, film, folder)
    most = Sizes.of(os.cpu_count() or 1).conversions
    return [
        Row(f"{CONVERSIONS} conversions at once, processes at most", [children], count, most),
        Row("  their memory together, resident", [sizes.rss], mib),
        Row("  their memory together, proportional", [sizes.pss], mib),
        Row("  until all are there", [took_s], seconds),
    ]


async def _convert_all(film: Path, folder: Path) -> tuple[int, Memory, float]:
    media, most, peak = MediaClient(), 0, Memory(0, 0)
    began = time.perf_counter()
    async with anyio.create_task_group() as watching:

        async def watch() -> None:
            nonlocal most, peak
            while True:
                try:
                    own, family = memory(os.getpid()), family_memory(os.getpid())
                    most = max(most, count_family(os.getpid()))
                    peak = Memory(max(peak.rss, family.rss - own.rss), max(peak.pss, family.pss - own.pss))
                except (OSError, ValueError):
                    pass  # one of them ended just now
                await anyio.sleep(0.05)

        watching.start_soon(watch)
        async with anyio.create_task_group() as group:
            for number in range(CONVERSIONS):
                group.start_soon(partial(media.convert_media, film, folder / f"{number}.part", "video"))
        watching.cancel_scope.cancel()
    await media.close()
    return most, peak, time.perf_counter() - began


def main() -> None:
    """Print the table."""
    print(measure().text())


if __name__ == "__main__":
    main()
