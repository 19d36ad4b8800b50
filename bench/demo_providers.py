"""One text and one image video at each hosted provider, and what only some have, through a real client. Run by
`make demo-providers`.

The providers are emulated on this machine, so nothing costs; at the end the emulator is asked what it was sent.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
from anyio.abc import Process
from mcp import Client, StdioServerParameters
from PIL import Image, ImageDraw

from bench.client import Ended, answer, follow, measured, run
from bench.wire import ROOT, environment

FOLDER = Path("demo-output/providers").absolute()
HOME = FOLDER / "home"
FILMS = FOLDER.parent / "emulated-films"
PICTURES = FOLDER / "pictures"
PROVIDERS = ("fal", "ltx", "netwrck", "bytecompute")
PROMPTS = {
    "text_to_video": "A lighthouse on a basalt cliff at dusk, waves far below, slow aerial approach",
    "image_to_video": "The sun sinks behind the hills and the first lights come on",
}
MORE: dict[tuple[str, str], dict[str, Any]] = {
    ("fal", "ltx-2.5-fast"): {"prompt": "Fog rolls over a fishing harbour, a bell rings", "duration": "auto"},
    ("fal", "ltx-2.5-pro"): {"prompt": "A tram crosses a bridge in the rain", "camera_motion": "dolly_left"},
    ("fal", "ltx-2.3-open"): {"prompt": "A paper boat on a puddle, seen from above", "seed": 7},
}
"""What one provider alone has, or has newly, by provider and model."""
START_S, MAX_S, WORKER_S = 20, 120, 60

# What an order carries beside its key, by each provider's own pages: the endpoint, the fields, the files.
ALIKE = "prompt duration resolution aspect_ratio fps generate_audio"
DOCUMENTED = {
    ("fal", "text_to_video"): ("fal-ai/ltx-2.3/text-to-video/fast", ALIKE, ""),
    ("fal", "image_to_video"): ("fal-ai/ltx-2.3/image-to-video/fast", f"{ALIKE} image_url", ""),
    ("ltx", "text_to_video"): ("/v2/text-to-video", "prompt model duration resolution fps generate_audio", ""),
    ("ltx", "image_to_video"): (
        "/v2/image-to-video",
        "prompt model duration resolution fps generate_audio image_uri",
        "",
    ),
    ("netwrck", "text_to_video"): ("/api/ltx-text-to-video", f"{ALIKE} response_mode", ""),
    ("netwrck", "image_to_video"): ("/api/ltx-2.3-image-to-video", f"{ALIKE} response_mode image_url", ""),
    ("bytecompute", "text_to_video"): ("/v1/generate", "model prompt duration resolution fps", ""),
    ("bytecompute", "image_to_video"): ("/v1/generate", "model prompt duration resolution fps", "image"),
}
OPEN = "prompt video_size num_frames fps generate_audio seed enable_prompt_expansion"
DOCUMENTED_MORE = {
    ("fal", "ltx-2.5-fast"): ("lightricks/ltx-2.5/text-to-video/fast", ALIKE, ""),
    ("fal", "ltx-2.5-pro"): ("lightricks/ltx-2.5/text-to-video/pro", f"{ALIKE} camera_motion", ""),
    ("fal", "ltx-2.3-open"): ("fal-ai/ltx-2.3-22b/text-to-video", OPEN, ""),
}
REFRAMED = {
    "fal": ("fal-ai/ltx-2.3/reframe", "video_url aspect_ratio resolution", ""),
    "ltx": ("/v2/video-to-video-reframe", "model video_uri resolution", ""),
}


async def main() -> None:
    """Order all, then follow all, then count."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    picture = draw_picture(PICTURES)
    with anyio.fail_after(MAX_S):
        async with emulated() as settings, served(settings) as client:
            quotes = await ask_prices(client)
            jobs = [
                (operation, await order(client, provider, operation, picture))
                for provider in PROVIDERS
                for operation in PROMPTS
            ]
            jobs += [("text_to_video", await more(client, *which)) for which in MORE]
            jobs += [("reframe", await reframe(client, provider, jobs[0][1]["job_id"])) for provider in REFRAMED]
            for operation, job in jobs:
                view = await follow(client, job["job_id"], mark=job["provider"])
                report(view, quotes.get((operation, view["provider"], view["model"]), job["cost_usd"]))
            told = await anyio.to_thread.run_sync(ask_orders, settings)
    if wrong := find_mistake(told):
        raise Ended(wrong)
    print(f"\nThe emulator counted {len(told)} orders: one for each request, with exactly the documented fields.")
    print("They were emulated providers and films drawn on this machine, not LTX; nothing was charged.")


def draw_picture(folder: Path) -> Path:
    """A picture of hills to animate."""
    folder.mkdir(parents=True)
    picture = Image.linear_gradient("L").resize((1920, 1080)).convert("RGB")
    brush = ImageDraw.Draw(picture)
    brush.ellipse((1260, 420, 1460, 620), fill=(255, 214, 120))
    for x, height, shade in ((0, 420, 90), (500, 560, 60), (1150, 380, 35)):
        brush.ellipse((x - 300, 1080 - height, x + 1100, 1080 + height), fill=(shade, shade, shade + 25))
    picture.save(path := folder / "hills.jpg", quality=90)
    return path


@asynccontextmanager
async def emulated() -> AsyncIterator[dict[str, str]]:
    """An emulator in a process of its own; the settings that lead to it."""
    command = [sys.executable, "-m", "ltx_mcp", "emulate", "--port", "0", "--films", str(FILMS)]
    async with await anyio.open_process(command, env=environment(HOME), cwd=ROOT, stderr=None) as process:
        try:
            yield await read_settings(process)
        finally:
            process.terminate()


async def read_settings(process: Process) -> dict[str, str]:
    """What it prints for a shell, up to the blank line."""
    assert process.stdout is not None
    text = b""
    try:
        with anyio.fail_after(START_S):
            while not text.endswith(b"\n\n"):
                text += await process.stdout.receive()
    except (TimeoutError, anyio.EndOfStream) as error:
        raise Ended("The emulator did not start.") from error
    return dict(line.split("=", 1) for line in shlex.split(text.decode()) if line != "export")


@asynccontextmanager
async def served(settings: dict[str, str]) -> AsyncIterator[Client]:
    """A client of a server with these settings. A run that breaks off waits for what the server hands to a worker."""
    env = environment(HOME) | settings | {"LTX_MCP_INPUT_DIRS": str(PICTURES)}
    command = [sys.executable, "-m", "ltx_mcp"]
    try:
        async with Client(StdioServerParameters(command=command[0], args=command[1:], env=env, cwd=ROOT)) as client:
            yield client
    except BaseException:
        subprocess.run([*command, "work", "--until-idle"], env=env, cwd=ROOT, timeout=WORKER_S)
        raise


async def ask_prices(client: Client) -> dict[tuple[str, str, str], float]:
    """The quoted price in USD by operation, provider and model."""
    estimates = {operation: await answer(client, "estimate_cost", {"operation": operation}) for operation in PROMPTS}
    return {
        (operation, quote["provider"], quote["model"]): quote["cost_usd"]
        for operation, estimate in estimates.items()
        for quote in estimate["quotes"]
    }


async def order(client: Client, provider: str, operation: str, picture: Path) -> dict[str, Any]:
    """One order."""
    arguments = {"prompt": PROMPTS[operation], "provider": provider}
    if operation == "image_to_video":
        job = await answer(client, "animate_image", {**arguments, "image": str(picture)}, mark=provider)
    else:
        job = await answer(client, "generate_video", arguments, mark=provider)
    print(f"{'ordered':<16}{provider} {job['model']}, {operation}: {job['job_id']} is {job['state']}", flush=True)
    return job


async def more(client: Client, provider: str, model: str) -> dict[str, Any]:
    """One order of what not everybody has."""
    arguments = {"provider": provider, "model": model, **MORE[provider, model]}
    job = await answer(client, "generate_video", arguments, mark=provider)
    print(f"{'ordered':<16}{provider} {job['model']}, text_to_video: {job['job_id']} is {job['state']}", flush=True)
    return job


async def reframe(client: Client, provider: str, job_id: str) -> dict[str, Any]:
    """An upright version of another job's film, which need not be there yet."""
    arguments = {"provider": provider, "video": job_id, "resolution": "720p"}
    job = await answer(client, "reframe_video", arguments, mark=provider)
    print(f"{'ordered':<16}{provider} {job['model']}, reframe: {job['job_id']} is {job['state']}", flush=True)
    return job


def report(view: dict[str, Any], quoted_usd: float) -> None:
    """What came of one order."""
    charged = f"{view['charged_usd']:g} USD charged" if "charged_usd" in view else "charge not told"
    print(f"\n{view['provider']}, {view['model']}, {view['operation']}")
    print(f"{'price':<16}{quoted_usd:g} USD quoted, {view['cost_usd']:g} USD ordered, {charged}")
    print(f"{'job id':<16}{view['job_id']}")
    print(f"{'video':<16}{view['video_url']}")
    print(f"{'file':<16}{view['file']}")
    print(f"{'measured':<16}{measured(view)}")


def ask_orders(settings: dict[str, str]) -> list[dict[str, Any]]:
    """Every order as the emulator was sent it."""
    reply = httpx.get(f"{settings['LTX_MCP_FAL_QUEUE_URL']}/control/orders", trust_env=False)
    orders: list[dict[str, Any]] = reply.raise_for_status().json()["orders"]
    return orders


def find_mistake(orders: list[dict[str, Any]]) -> str:
    """What is wrong with the orders, in a sentence; empty when each request was ordered once and as documented."""
    asked: list[tuple[str, str, str | None, tuple[str, str, str]]]
    asked = [(provider, name, PROMPTS[name], told) for (provider, name), told in DOCUMENTED.items()]
    asked += [(*which, MORE[which]["prompt"], told) for which, told in DOCUMENTED_MORE.items()]
    asked += [(provider, "reframe", None, told) for provider, told in REFRAMED.items()]
    for provider, name, prompt, (endpoint, fields, files) in asked:
        mine = [each for each in orders if (each["provider"], each["fields"].get("prompt")) == (provider, prompt)]
        if len(mine) != 1:
            return f"{provider} was sent {len(mine)} orders for its {name}, where one is right."
        sent = (mine[0]["endpoint"], set(mine[0]["fields"]), set(mine[0]["files"]))
        if sent != (endpoint, set(fields.split()), set(files.split())):
            return f"{provider} was sent its {name} as {sent}, which is not what its pages say."
    strange = len(orders) - len(asked)
    return f"The emulator counted {strange} orders that nobody asked for." if strange else ""


if __name__ == "__main__":
    run(main)
