"""What a preview promises: exact numbers, a real picture of the prompt, the caller's pictures, an honest caption."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.image import MAX_EDGE, open_image
from ltx_mcp.media.messages import RenderOrder
from ltx_mcp.media.preview.caption import make_caption, make_title
from ltx_mcp.media.preview.fonts import Typefaces, font_folders
from ltx_mcp.media.preview.render import drawing_rng, render

Colour = tuple[int, int, int]
SMALL = RenderOrder("a red kite over green hills", 320, 180, 25, 1.0, audio=False)
RED, BLUE, GREEN, WHITE = (220, 30, 30), (30, 30, 220), (30, 200, 60), (255, 255, 255)


def drawn(order: RenderOrder, folder: Path, name: str = "film.part") -> Path:
    out = folder / name
    render(order, out, lambda part: None)
    return out


def frames(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as film:
        return [frame.to_image() for frame in film.decode(video=0)]  # type: ignore[no-untyped-call]


def seconds(stream: av.VideoStream | av.AudioStream) -> Fraction:
    assert stream.duration is not None
    assert stream.time_base is not None
    return stream.duration * stream.time_base


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def middle(picture: Image.Image) -> Image.Image:
    """The part that neither the mark nor the caption touches."""
    width, height = picture.size
    return picture.crop((0, height // 5, width, height * 3 // 5))


def tone(picture: Image.Image) -> Colour:
    red, green, blue = ImageStat.Stat(picture).mean[:3]
    return round(red), round(green), round(blue)


def is_near(one: Colour, other: Colour, room: int = 14) -> bool:
    return all(abs(a - b) <= room for a, b in zip(one, other, strict=True))


# -- numbers


@pytest.mark.parametrize(
    ("width", "height", "fps", "duration"),
    [(1920, 1080, 25, 1.0), (1080, 1920, 24, 0.5), (720, 720, 48, 0.75), (864, 1080, 25, 0.4), (2160, 3840, 50, 0.2)],
)
def test_the_film_is_exactly_as_ordered(width: int, height: int, fps: int, duration: float, tmp_path: Path) -> None:
    order = replace(SMALL, width=width, height=height, fps=fps, duration=duration, audio=True)
    with av.open(str(drawn(order, tmp_path))) as film:
        video, sound = film.streams.video[0], film.streams.audio[0]
        count = round(duration * fps)
        assert (video.width, video.height, video.frames) == (width, height, count)
        assert video.average_rate == Fraction(fps)
        assert seconds(video) == seconds(sound) == Fraction(count, fps)
        assert film.duration == round(count / fps * av.time_base)
        assert sum(1 for _ in film.decode(video)) == count


def test_a_usual_preview_of_six_seconds_is_whole_and_small(tmp_path: Path) -> None:
    out = drawn(replace(SMALL, width=1920, height=1080, duration=6.0, audio=True), tmp_path)
    with av.open(str(out)) as film:
        video, sound = film.streams.video[0], film.streams.audio[0]
        assert (video.frames, film.duration) == (150, 6 * av.time_base)
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert (sound.codec_context.name, sound.rate, sound.layout.name) == ("aac", 48_000, "stereo")
    assert out.stat().st_size < 4_000_000


def test_without_sound_there_is_no_sound_track(tmp_path: Path) -> None:
    with av.open(str(drawn(SMALL, tmp_path))) as film:
        assert [stream.type for stream in film.streams] == ["video"]


def test_the_sound_is_soft_and_begins_and_ends_in_silence(tmp_path: Path) -> None:
    with av.open(str(drawn(replace(SMALL, duration=4.0, audio=True), tmp_path))) as film:
        blocks = [bytes(frame.planes[0]) for frame in film.decode(audio=0)]
    levels = [max(abs(value) for value in memoryview(block).cast("f")) for block in blocks]
    assert 0.03 < max(levels) < 0.35
    assert max(levels[0], levels[-1]) < 0.02


def test_a_player_can_begin_before_the_whole_file_is_there(tmp_path: Path) -> None:
    data = drawn(SMALL, tmp_path).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_progress_is_told_a_few_times_a_second_and_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    render(replace(SMALL, duration=2.0), tmp_path / "film", told.append)
    assert told == sorted(told)
    assert len(told) >= 7
    assert told[-1] == 1.0


# -- a picture of the prompt


def test_the_same_order_makes_the_same_bytes(tmp_path: Path) -> None:
    order = replace(SMALL, audio=True)
    assert drawn(order, tmp_path, "a").read_bytes() == drawn(order, tmp_path, "b").read_bytes()


def test_another_prompt_is_another_picture(tmp_path: Path) -> None:
    one = frames(drawn(SMALL, tmp_path))[0]
    other = frames(drawn(replace(SMALL, prompt="a blue whale in the sea at night"), tmp_path))[0]
    assert difference(middle(one), middle(other)) > 15


def test_another_seed_is_another_picture_and_the_same_seed_the_same_bytes(tmp_path: Path) -> None:
    films = [drawn(replace(SMALL, seed=seed), tmp_path, str(number)) for number, seed in enumerate((None, 0, 1, 1))]
    shown = [middle(frames(film)[0]) for film in films]
    assert min(difference(*pair) for pair in ((shown[0], shown[1]), (shown[0], shown[2]), (shown[1], shown[2]))) > 5
    assert films[2].read_bytes() == films[3].read_bytes()


def test_without_a_seed_a_prompt_is_drawn_as_it_always_was() -> None:
    assert drawing_rng(SMALL).random() == 0.36749038755385033


def test_the_picture_moves(tmp_path: Path) -> None:
    film = frames(drawn(SMALL, tmp_path))
    assert difference(middle(film[0]), middle(film[-1])) > 1


def ground_shift(film: list[Image.Image]) -> int:
    """How many pixels the near land has gone right from the first frame to the last."""
    first, last = (picture.convert("L").crop((0, 110, 320, 140)) for picture in (film[0], film[-1]))

    def cost(shift: int) -> float:
        one = first.crop((60, 0, 260, 30))
        other = last.crop((60 + shift, 0, 260 + shift, 30))
        return float(ImageStat.Stat(ImageChops.difference(one, other)).mean[0])

    return min(range(-60, 61), key=cost)


def test_the_camera_motion_steers_a_drawn_scene(tmp_path: Path) -> None:
    order = replace(SMALL, prompt="a forest", duration=0.4)
    left = ground_shift(frames(drawn(replace(order, camera_motion="dolly_left"), tmp_path)))
    right = ground_shift(frames(drawn(replace(order, camera_motion="dolly_right"), tmp_path)))
    assert left > 8
    assert right < -8


# -- the caller's pictures


def saved(picture: Image.Image, path: Path, **options: Any) -> str:
    picture.save(path, **options)
    return str(path)


def flag(left: Colour, right: Colour, size: tuple[int, int] = (640, 360)) -> Image.Image:
    picture = Image.new("RGB", size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def crossing(picture: Image.Image, axis: str) -> float:
    """Where along an axis a picture with a dark and a bright half changes, from 0 to 1."""
    grey = middle(picture).convert("L") if axis == "x" else picture.convert("L").crop((0, 40, 200, 150))
    line = grey.resize((grey.width, 1) if axis == "x" else (1, grey.height), Image.Resampling.BOX)
    levels = list(line.tobytes())
    return sum(1 for level in levels if level < 128) / len(levels)


@pytest.mark.parametrize(
    ("motion", "axis", "towards"),
    [("dolly_left", "x", 1), ("dolly_right", "x", -1), ("jib_up", "y", 1), ("jib_down", "y", -1), ("static", "x", 0)],
)
def test_the_camera_pans_over_a_picture_as_asked(motion: str, axis: str, towards: int, tmp_path: Path) -> None:
    picture = flag((0, 0, 0), WHITE)
    if axis == "y":
        picture = flag((0, 0, 0), WHITE, (360, 640)).transpose(Image.Transpose.ROTATE_270)
    order = replace(SMALL, prompt="", image=saved(picture, tmp_path / "a.png"), camera_motion=motion)
    film = frames(drawn(order, tmp_path))
    moved = crossing(film[-1], axis) - crossing(film[0], axis)
    assert moved * towards > 0.1 if towards else abs(moved) < 0.01


@pytest.mark.parametrize(("motion", "grows"), [("dolly_in", True), ("dolly_out", False)])
def test_the_camera_zooms_into_a_picture_as_asked(motion: str, grows: bool, tmp_path: Path) -> None:
    picture = Image.new("RGB", (640, 360), WHITE)
    picture.paste((0, 0, 0), (240, 0, 400, 360))
    order = replace(SMALL, image=saved(picture, tmp_path / "a.png"), camera_motion=motion)
    film = frames(drawn(order, tmp_path))
    small, large = (crossing(film[place], "x") for place in ((0, -1) if grows else (-1, 0)))
    assert large > small * 1.25


def test_a_focus_shift_ends_sharp(tmp_path: Path) -> None:
    picture = Image.effect_noise((640, 360), 90).filter(ImageFilter.BoxBlur(3)).convert("RGB")
    order = replace(SMALL, image=saved(picture, tmp_path / "a.png"), camera_motion="focus_shift")
    film = frames(drawn(order, tmp_path))
    detail = [ImageStat.Stat(middle(film[place]).filter(ImageFilter.FIND_EDGES)).mean[0] for place in (0, -1)]
    assert detail[1] > detail[0] * 1.5


def test_the_film_begins_on_the_whole_picture(tmp_path: Path) -> None:
    picture = flag(RED, BLUE)
    film = frames(drawn(replace(SMALL, image=saved(picture, tmp_path / "a.png")), tmp_path))
    assert difference(middle(film[0]), middle(picture.resize((320, 180)))) < 6


def test_the_film_ends_on_the_end_picture_even_of_another_shape(tmp_path: Path) -> None:
    tall = Image.new("RGB", (300, 700), GREEN)
    ImageDraw.Draw(tall).ellipse((60, 250, 240, 430), fill=RED)
    order = replace(
        SMALL,
        image=saved(flag(RED, BLUE), tmp_path / "a.png"),
        end_image=saved(tall, tmp_path / "b.png"),
        camera_motion="dolly_left",
    )
    film = frames(drawn(order, tmp_path))
    height = 300 * 9 / 16
    shown = tall.resize((320, 180), box=(0, 350 - height / 2, 300, 350 + height / 2))
    assert difference(middle(film[-1]), middle(shown)) < 6
    assert difference(middle(film[0]), middle(shown)) > 60


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = orientation
    return data


@pytest.mark.parametrize(
    ("orientation", "left"), [(1, RED), (3, BLUE), (2, BLUE), (6, None), (8, None), (5, None), (7, None), (4, RED)]
)
def test_a_picture_is_shown_upright(orientation: int, left: Colour | None, tmp_path: Path) -> None:
    path = saved(flag(RED, BLUE), tmp_path / "a.jpg", exif=exif(orientation), quality=95)
    picture = open_image(path)
    if left:
        assert picture.size == (640, 360)
        assert is_near(tone(picture.crop((0, 0, 200, 360))), left)
    else:
        top = RED if orientation in (5, 6) else BLUE
        assert picture.size == (360, 640)
        assert is_near(tone(picture.crop((0, 0, 360, 200))), top)


def wide_grey(path: Path) -> str:
    return saved(Image.new("I;16", (64, 36), 32_768), path.with_suffix(".png"))


def palette(path: Path) -> str:
    return saved(Image.new("RGB", (64, 36), GREEN).quantize(8), path.with_suffix(".png"))


def clear_palette(path: Path) -> str:
    picture = Image.new("P", (64, 36), 0)
    picture.putpalette([200, 0, 0, 0, 0, 0])
    picture.paste(1, (0, 0, 64, 2))
    return saved(picture, path.with_suffix(".png"), transparency=0)


def half_clear(path: Path) -> str:
    picture = Image.new("RGBA", (64, 36), (200, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (0, 0, 64, 2))
    return saved(picture, path.with_suffix(".png"))


def ink(path: Path) -> str:
    return saved(Image.new("CMYK", (64, 36), (0, 255, 255, 0)), path.with_suffix(".jpg"), quality=95)


def webp(path: Path) -> str:
    return saved(Image.new("RGB", (64, 36), BLUE), path.with_suffix(".webp"), quality=95)


def avif(path: Path) -> str:
    return saved(Image.new("RGB", (64, 36), BLUE), path.with_suffix(".avif"), quality=95)


def grey(path: Path) -> str:
    return saved(Image.new("LA", (64, 36), (90, 255)), path.with_suffix(".png"))


@pytest.mark.parametrize(
    ("make", "colour"),
    [
        (wide_grey, (127, 127, 127)),
        (palette, GREEN),
        (clear_palette, WHITE),
        (half_clear, WHITE),
        (ink, (255, 0, 0)),
        (webp, BLUE),
        (avif, BLUE),
        (grey, (90, 90, 90)),
    ],
)
def test_every_kind_of_picture_keeps_its_colour(make: Callable[[Path], str], colour: Colour, tmp_path: Path) -> None:
    film = frames(drawn(replace(SMALL, duration=0.2, image=make(tmp_path / "a")), tmp_path))
    assert is_near(tone(middle(film[0])), colour)


def text_as_png(path: Path) -> None:
    path.write_text("not a picture at all\n" * 50, encoding="utf-8")


def drawing(path: Path) -> None:
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', encoding="utf-8")


def cut_png(path: Path) -> None:
    Image.effect_noise((300, 200), 90).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:9000])


def cut_jpeg(path: Path) -> None:
    Image.effect_noise((300, 200), 90).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:5000])


def too_long(path: Path) -> None:
    Image.new("1", (MAX_EDGE + 2, 4)).save(path, "PNG")


def large(path: Path) -> None:
    headed(path, 12_000)


def bomb(path: Path) -> None:
    headed(path, 16_000)


def headed(path: Path, edge: int) -> None:
    """A tiny file whose header says that it is a square of that many pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(9)))]
    body = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (text_as_png, "PNG, JPEG, WebP, AVIF"),
        (drawing, "PNG, JPEG, WebP, AVIF"),
        (empty, "PNG, JPEG, WebP, AVIF"),
        (cut_png, "is cut short"),
        (cut_jpeg, "is cut short"),
        (too_long, "16386 x 4 pixels: at most 16,384"),
        (large, "12000 x 12000 pixels: at most 16,384 pixels on an edge and 100,000,000"),
        (bomb, "more pixels than are allowed: at most 16,384 pixels on an edge and 100,000,000"),
    ],
)
def test_a_bad_picture_is_refused_with_what_is_allowed(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    spoil(path)
    with pytest.raises(CallerError, match=r"^The image .*(are accepted|are allowed)") as caught:
        drawn(replace(SMALL, image=str(path)), tmp_path)
    assert caught.value.code is ErrorCode.INPUT_FAILED
    assert words in caught.value.message


def test_an_error_says_which_picture_it_means(tmp_path: Path) -> None:
    text_as_png(tmp_path / "b.png")
    start = saved(flag(RED, BLUE), tmp_path / "a.png")
    with pytest.raises(CallerError, match="end_image"):
        drawn(replace(SMALL, image=start, end_image=str(tmp_path / "b.png")), tmp_path)


# -- what is written on it


def has_ink(picture: Image.Image) -> bool:
    return picture.convert("L").point([0] * 200 + [255] * 56).getbbox() is not None


def test_the_mark_and_the_caption_are_seen_on_every_frame(tmp_path: Path) -> None:
    black = saved(Image.new("RGB", (640, 360)), tmp_path / "a.png")
    for frame in frames(drawn(replace(SMALL, width=640, height=360, duration=0.3, image=black), tmp_path)):
        assert has_ink(frame.crop((480, 0, 640, 40)))
        assert has_ink(frame.crop((0, 300, 320, 360)))
        assert not has_ink(middle(frame))


WILD = [
    "",
    " \n\t ",
    "плюс кириллица и café",
    "一只猫 sits in the rain 在窗台上 и смотрит",
    "שלום עולם, a blue car, مرحبا بالعالم",
    "😀👨‍👩‍👧🇩🇪🏳️‍🌈 \u200d\u200d️",
    "z" + "\u0301\u0335" * 300,
    "tab\there\nnew line\r\n\x00\x07\x1b[31m",
    "half \ud800 of a pair \udfff",
    "\ufffe\uffff\U0010ffff \ue000 \u2028 \u202e turned",
    "w" * 5000,
    "字" * 5000,
]


@pytest.mark.parametrize("prompt", WILD, ids=range(len(WILD)))
def test_no_prompt_breaks_the_preview(prompt: str, tmp_path: Path) -> None:
    assert len(frames(drawn(replace(SMALL, prompt=prompt, duration=0.08), tmp_path))) == 2


def test_characters_without_a_font_are_counted_and_told(tmp_path: Path) -> None:
    caption = make_caption("Cat 猫 и кот", 640, 360, folders=[tmp_path])
    assert caption.missing == 5
    assert caption.overlay is not None
    without_note = make_caption("Cat", 640, 360, folders=[tmp_path]).overlay
    assert without_note is not None
    assert caption.overlay.image.height > without_note.image.height


def test_the_count_reaches_the_notes_of_a_render(tmp_path: Path) -> None:
    order = replace(SMALL, prompt="an unassigned \U000e0ff0\U000e0ff1 pair", duration=0.08)
    assert render(order, tmp_path / "film", lambda part: None).missing_glyphs == 2


def test_plain_english_needs_no_font_of_the_machine(tmp_path: Path) -> None:
    assert make_caption("A quiet forest, at dawn (35 mm)", 640, 360, folders=[tmp_path]).missing == 0


def test_a_broken_font_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "NotoSans-Regular.ttf").write_bytes(b"\0\1\0\0 this is no font" * 40)
    (tmp_path / "empty.otf").touch()
    assert make_caption("мир", 640, 360, folders=[tmp_path]).missing == 3


def fonts_here() -> list[Path]:
    """The machine's fonts, and a Chinese one from a package, so that no script here depends on the machine."""
    found = find_spec("cvttf_NotoSansCJK_Regular")
    assert found is not None
    assert found.origin is not None
    return [Path(found.origin).parent, *font_folders()]


def letters(text: str) -> Image.Image:
    overlay = make_caption(text, 640, 360, folders=fonts_here()).overlay
    assert overlay is not None
    return overlay.image.convert("L").point([0] * 200 + [255] * 56)


@pytest.fixture(params=["Жя", "中文", "שם"])
def script(request: pytest.FixtureRequest) -> str:
    text = str(request.param)
    if text == "שם" and Typefaces().find("ש") is None:
        pytest.skip("no font for Hebrew on this machine")
    return text


def test_a_script_is_drawn_with_its_own_letters_and_not_with_boxes(script: str) -> None:
    one, other = (letters(character * 3) for character in script)
    assert one.getbbox()
    assert ImageChops.difference(one, other.resize(one.size)).getbbox()
    assert make_caption(script, 640, 360, folders=fonts_here()).missing == 0


def test_scripts_may_be_mixed_in_one_prompt(script: str) -> None:
    alone, mixed = letters("rain rain"), letters(f"rain {script} rain")
    one, other = alone.getbbox(), mixed.getbbox()
    assert one is not None
    assert other is not None
    assert other[2] > one[2] + 8


def test_hebrew_begins_on_the_right() -> None:
    if Typefaces().find("ש") is None:
        pytest.skip("no font for Hebrew on this machine")
    box = letters("שלום עולם").getbbox()
    assert box is not None
    assert box[0] > 320


def test_letters_of_two_fonts_follow_each_other_from_right_to_left() -> None:
    if Typefaces().find("ש") is None:
        pytest.skip("no font for Hebrew on this machine")
    alone, mixed = letters("שלום"), letters("שלום 中")
    first = alone.getbbox()
    assert first is not None
    right = (first[0], 0, 640, alone.height)
    assert not ImageChops.difference(alone.crop(right), mixed.crop(right)).getbbox()


SHORE = "The camera moves slowly along the shore. "


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (320, 180)])
def test_over_a_picture_the_words_stay_in_the_lowest_fifth_and_end_at_a_word(width: int, height: int) -> None:
    caption = make_caption(SHORE * 120, width, height)
    assert caption.overlay is not None
    assert caption.overlay.y >= height * 0.8 - 1
    assert caption.overlay.y + caption.overlay.image.height == height
    last = caption.lines[-1].removesuffix("…")
    assert last != caption.lines[-1]
    assert last.split()[-1] in SHORE.split()


def test_from_text_alone_the_prompt_is_a_page_with_a_paragraph_for_each_shot() -> None:
    prompt = "A boat leaves the pier.\nThe tide comes in. A hard cut to a gull on a mast, scene 2: rain"
    page = make_title(prompt, 1920, 1080)
    begun = [line for line in page.lines if line.startswith(("A boat", "The tide", "A hard cut", "scene 2"))]
    assert len(begun) == 4
    assert page.overlay is not None
    whole = make_title(" ".join(prompt.split()).replace("cut to", "see").replace("scene", "seen"), 1920, 1080)
    assert len(whole.lines) < len(page.lines)
    assert make_title("镜头一：海边。镜头二：码头。", 1920, 1080, folders=fonts_here()).lines == (
        "镜头一：海边。",
        "镜头二：码头。",
    )


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (720, 720), (320, 180)])
def test_a_page_is_as_large_as_it_fits_and_ends_at_a_word(width: int, height: int) -> None:
    few, many, more = (make_title(SHORE * count, width, height) for count in (1, 4, 120))
    for page in (few, many, more):
        assert page.overlay is not None
        assert page.overlay.x >= 0
        assert page.overlay.y >= height * 0.1
        assert page.overlay.image.height <= height * 0.75
    assert " ".join(many.lines) == (SHORE * 4).strip()
    assert more.lines[-1].endswith("…")
    assert more.lines[-1].removesuffix("…").split()[-1] in SHORE.split()
    tall = [page.overlay.image.height / len(page.lines) for page in (few, more) if page.overlay]
    assert tall[0] > tall[1] * (2 if height > 400 else 1.5)
