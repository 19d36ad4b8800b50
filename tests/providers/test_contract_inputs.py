"""Pictures on their way into an order: wherever they come from, the provider gets the right bytes in a way it takes."""

import base64
import hashlib
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
import trustme
from PIL import Image

from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.checks import decode_data_uri
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatorState
from ltx_mcp.net.address import Address
from ltx_mcp.net.ssrf import EgressPolicy, fetch_public
from tests.providers import raw
from tests.providers.bench import REMOTE, Bench, image, opened, text
from tests.providers.raw import Raw, answer, says

pytestmark = pytest.mark.anyio

UPLOADS = {"fal": "upload", "ltx": "upload"}
FIELDS = {
    "fal": ("image_url", "end_image_url"),
    "ltx": ("image_uri", "last_frame_uri"),
    "netwrck": ("image_url", "end_image_url"),
}
ORIENTATION = 0x0112
SIDEWAYS = 6
PLACED = (State.RUNNING, State.SAVING, State.SUCCEEDED)


class Web:
    """A TLS server of pictures, and the guarded fetch told that its address stands for the open internet."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.trust = ssl.create_default_context()
        self.authority.configure_trust(self.trust)

    async def fetch(self, url: str, out: Path, *, argument: str, max_bytes: int) -> str:
        async def resolver(host: str, port: int) -> Sequence[Address]:
            return [ip_address(raw.LOOPBACK)]

        policy = EgressPolicy(resolver, self.trust, lambda address: str(address) == raw.LOOPBACK)
        return await fetch_public(url, out, argument=argument, max_bytes=max_bytes, policy=policy)

    @asynccontextmanager
    async def serving(self, content: bytes) -> AsyncIterator[tuple[str, Raw]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("pictures.example").configure_cert(context)
        async with raw.serving(says(answer(200, content, "Content-Type: image/jpeg")), context) as server:
            yield f"https://pictures.example:{server.url.rpartition(':')[2]}/pond.jpg?token=a-secret", server


@pytest.fixture(scope="module")
def web() -> Web:
    return Web()


@pytest.fixture(scope="module")
async def opened_once(
    emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory, web: Web
) -> AsyncIterator[Bench]:
    home = tmp_path_factory.mktemp("inputs") / "home"
    async with opened(home, emulated, folders=(Path("/"),), fetch=web.fetch) as made:
        yield made


@pytest.fixture
def bench(opened_once: Bench) -> Bench:
    """With nothing ordered, and orders that are never done: what is looked at is what was sent."""
    opened_once.world.reset()
    opened_once.world.wait_s, opened_once.world.work_s = 0.0, 3600.0
    return opened_once


Sent = Callable[..., Awaitable[tuple[Job, EmulatedOrder]]]


@pytest.fixture
def send(bench: Bench) -> Sent:
    """Orders, and gives the job and the order as the provider took it."""

    async def sent(picture: Path | str, provider: str, **asked: object) -> tuple[Job, EmulatedOrder]:
        job = await bench.until(await bench.place(image(picture, provider=provider, **asked)), *PLACED)
        return job, bench.orders(provider)[-1]

    return sent


def received(bench: Bench, order: EmulatedOrder, which: int = 0) -> str:
    """The SHA-256 of a picture as it lies at the provider."""
    if order.provider == "bytecompute":
        names = ("first_frame", "last_frame") if "first_frame" in order.files else ("image",)
        return str(order.files[names[which]]["sha256"])
    given = str(order.fields[FIELDS[order.provider][which]])
    if order.provider == "netwrck":
        decoded = decode_data_uri(given)
        assert decoded is not None
        return hashlib.sha256(decoded[1]).hexdigest()
    if order.provider == "ltx":
        return str(bench.world.uploads[given]["file"].sha256)
    found = next(each for each in bench.world.uploads.values() if each["url"] == given)
    return str(found["file"].sha256)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_sent(bench: Bench, order: EmulatedOrder) -> Image.Image:
    """The picture the provider got, found among those this home keeps."""
    wanted = received(bench, order)
    path = next(each for each in (bench.home / "inputs").iterdir() if digest(each) == wanted)
    return Image.open(io.BytesIO(path.read_bytes()))


def drawn(path: Path, size: tuple[int, int], seed: int, **options: Any) -> Path:
    """A picture of its own at every seed."""
    picture = Image.effect_noise((size[0] // 8, size[1] // 8), 40 + seed).resize(size).convert("RGB")
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_photo_of_4k_arrives_as_it_is(bench: Bench, send: Sent, provider: str, tmp_path: Path) -> None:
    photo = drawn(tmp_path / "photo.jpg", (3840, 2160), REMOTE.index(provider), quality=90)
    last = drawn(tmp_path / "last.png", (64, 36), REMOTE.index(provider))
    job, order = await send(photo, provider, end_image=str(last))
    assert (received(bench, order), received(bench, order, 1)) == (digest(photo), digest(last))
    assert job.all_adjustments == ()
    assert job.offer.aspect_ratio == "16:9"


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_data_uri_arrives_as_its_bytes(bench: Bench, send: Sent, provider: str, tmp_path: Path) -> None:
    content = drawn(tmp_path / "a.png", (90, 160), REMOTE.index(provider)).read_bytes()
    job, order = await send(f"data:image/png;base64,{base64.b64encode(content).decode()}", provider)
    assert received(bench, order) == hashlib.sha256(content).hexdigest()
    assert job.offer.aspect_ratio == "9:16"


@pytest.mark.parametrize("provider", REMOTE)
async def test_what_an_address_leads_to_is_fetched_here_and_arrives(
    bench: Bench, send: Sent, web: Web, provider: str, tmp_path: Path
) -> None:
    content = drawn(tmp_path / "a.jpg", (160, 90), 10 + REMOTE.index(provider)).read_bytes()
    async with web.serving(content) as (url, server):
        _, order = await send(url, provider)
    assert received(bench, order) == hashlib.sha256(content).hexdigest()
    assert len(server.requests) == 1
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_phones_photo_arrives_upright_and_the_turn_is_told(
    bench: Bench, send: Sent, provider: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = SIDEWAYS
    photo = drawn(tmp_path / "phone.jpg", (1920, 1080), 20 + REMOTE.index(provider), exif=exif)
    job, order = await send(photo, provider)
    assert received(bench, order) != digest(photo)
    with as_sent(bench, order) as picture:
        assert picture.size == (1080, 1920)
        assert picture.getexif().get(ORIENTATION, 1) == 1
    assert [(each.field, each.by) for each in job.all_adjustments] == [("image", "server")]
    assert "EXIF" in job.all_adjustments[0].asked
    assert job.offer.aspect_ratio == "9:16"


async def test_what_an_older_version_converted_is_not_sent(bench: Bench, send: Sent, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = SIDEWAYS
    photo = drawn(tmp_path / "older.jpg", (640, 360), 25, exif=exif)
    older = bench.home / "inputs" / f"{digest(photo)}-as.jpeg"
    older.parent.mkdir(exist_ok=True)
    older.write_bytes(drawn(tmp_path / "pale.jpg", (360, 640), 26).read_bytes())
    _, order = await send(photo, "fal")
    assert received(bench, order) != digest(older)


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_heic_is_sent_where_it_is_taken_and_converted_where_not(
    bench: Bench, send: Sent, provider: str, tmp_path: Path
) -> None:
    plain = drawn(tmp_path / "a.png", (640, 360), 30 + REMOTE.index(provider))
    with Image.open(plain) as opened_picture:
        pillow_heif.from_pillow(opened_picture).save(tmp_path / "a.heic")
    takes = "heif" in bench.jobs.catalog.facts(provider).inputs["image"].accepts
    job, order = await send(tmp_path / "a.heic", provider, adjust="nearest")
    told = [(each.field, each.asked, each.got, each.by) for each in job.all_adjustments]
    if takes:
        assert (received(bench, order), told) == (digest(tmp_path / "a.heic"), [])
        return
    assert told == [("image", "heif", "jpeg", "server")]
    with as_sent(bench, order) as picture:
        assert (picture.format, picture.size) == ("JPEG", (640, 360))


@pytest.mark.parametrize("provider", ["ltx", "bytecompute"])
async def test_a_heic_that_may_not_be_converted_is_refused_saying_how(
    bench: Bench, provider: str, tmp_path: Path
) -> None:
    pillow_heif.from_pillow(Image.new("RGB", (64, 36), "teal")).save(tmp_path / "b.heic")
    with pytest.raises(Exception, match="adjust=nearest") as raised:
        await bench.place(image(tmp_path / "b.heic", provider=provider))
    assert "png, jpeg, webp" in str(raised.value)
    assert bench.orders() == []


@pytest.mark.parametrize("provider", REMOTE)
async def test_the_last_frame_of_an_earlier_job_begins_the_next(bench: Bench, send: Sent, provider: str) -> None:
    bench.world.work_s = 0.0
    prompt = f"the first shot for {provider}"
    first = await bench.order(text(provider="bytecompute", prompt=prompt, duration=4, resolution="720p"))
    assert first.state is State.SUCCEEDED
    bench.world.work_s = 3600.0
    job, order = await send(f"{first.id}#last", provider)
    assert job.sources == (first.id,)
    with as_sent(bench, order) as picture:
        assert picture.size == (1280, 720)


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_chain_is_ordered_in_one_breath(bench: Bench, provider: str) -> None:
    bench.world.wait_s = bench.world.work_s = 0.0
    asked = {"prompt": f"a chain at {provider}", "provider": provider}
    first = await bench.place(text(**asked))
    second = await bench.place(image(f"{first.id}#last", **asked))
    assert second.blocked_by == first.id
    third = await bench.place(image(f"{second.id}#last", **asked))
    await bench.jobs.cancel(third.id, third.caller)
    second = await bench.end(second)
    third = await bench.end(third)
    assert (second.state, third.state, third.cancel) == (State.SUCCEEDED, State.CANCELLED, "never_sent")
    assert len(bench.orders(provider)) == 2


@pytest.mark.parametrize("provider", UPLOADS)
async def test_a_picture_is_sent_to_a_provider_once(bench: Bench, send: Sent, provider: str, tmp_path: Path) -> None:
    photo = drawn(tmp_path / "twice.png", (320, 180), 50 + REMOTE.index(provider))
    _, first = await send(photo, provider, prompt="one")
    _, second = await send(photo, provider, prompt="two")
    assert (bench.count(provider, "upload"), bench.count(provider, "put")) == (1, 1)
    assert first.fields[FIELDS[provider][0]] == second.fields[FIELDS[provider][0]]


@pytest.mark.parametrize("provider", UPLOADS)
async def test_a_picture_is_sent_again_when_it_may_be_gone_there(
    bench: Bench, send: Sent, provider: str, tmp_path: Path
) -> None:
    photo = drawn(tmp_path / "later.png", (320, 180), 60 + REMOTE.index(provider))
    await send(photo, provider, prompt="today")
    lives_s = bench.jobs.catalog.facts(provider).upload_lives_s
    assert lives_s is not None
    bench.time.turn(lives_s)
    await send(photo, provider, prompt="tomorrow")
    assert (bench.count(provider, "upload"), bench.count(provider, "put")) == (2, 2)


@pytest.mark.parametrize("provider", UPLOADS)
async def test_no_credential_goes_to_where_a_picture_is_put(
    bench: Bench, send: Sent, provider: str, tmp_path: Path
) -> None:
    await send(drawn(tmp_path / "put.png", (320, 180), 70 + REMOTE.index(provider)), provider)
    puts = [each for each in bench.world.calls if each.step == "put"]
    assert [each.authorized for each in puts] == [False]
    assert [each.authorized for each in bench.world.calls if each.step == "upload"] == [True]
