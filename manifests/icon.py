"""The icon: a sun over hills at dusk, in a frame of film. Drawn with Pillow, the same on every machine."""

from PIL import Image, ImageChops, ImageDraw, ImageOps

SIZE = 512
FINER = 4
"""Drawn this much larger and made smaller, for smooth edges."""
NIGHT, EVENING, DUSK, SUN = "#1c2350", "#93507f", "#f7a264", "#fff1d6"
FAR, NEAR, FILM = "#5b3f73", "#241f45", "#12142e"
HOLES = 5


def draw_icon() -> Image.Image:
    """The picture, with clear corners."""
    edge = SIZE * FINER
    band = edge // 8
    sky = Image.linear_gradient("L").resize((edge, edge), Image.Resampling.BICUBIC)
    picture = ImageOps.colorize(sky, NIGHT, DUSK, mid=EVENING).convert("RGBA")
    pen = ImageDraw.Draw(picture)
    _sun(pen, edge)
    _hills(pen, edge)
    for left in (0, edge - band):
        pen.rectangle((left, 0, left + band, edge), fill=FILM)
        _perforate(pen, left, band, edge)
    picture.putalpha(_rounded(edge))
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _sun(pen: ImageDraw.ImageDraw, edge: int) -> None:
    x, y, radius = edge * 0.5, edge * 0.47, edge * 0.17
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=SUN)
    side = radius * 0.55
    pen.polygon([(x - side * 0.6, y - side), (x - side * 0.6, y + side), (x + side * 1.05, y)], fill=NIGHT)


def _hills(pen: ImageDraw.ImageDraw, edge: int) -> None:
    far = [(0, 0.74), (0.26, 0.6), (0.46, 0.72), (0.72, 0.58), (1, 0.76), (1, 1), (0, 1)]
    near = [(0, 0.88), (0.34, 0.74), (0.62, 0.86), (0.84, 0.78), (1, 0.84), (1, 1), (0, 1)]
    pen.polygon([(x * edge, y * edge) for x, y in far], fill=FAR)
    pen.polygon([(x * edge, y * edge) for x, y in near], fill=NEAR)


def _perforate(pen: ImageDraw.ImageDraw, left: int, band: int, edge: int) -> None:
    width, pitch = band * 0.44, edge / HOLES
    for hole in range(HOLES):
        top = (hole + 0.5) * pitch - width * 0.6
        start = left + (band - width) / 2
        pen.rounded_rectangle((start, top, start + width, top + width * 1.2), radius=width * 0.25, fill=SUN)


def _rounded(edge: int) -> Image.Image:
    mask = Image.new("L", (edge, edge), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, edge - 1, edge - 1), radius=edge * 0.16, fill=255)
    return mask


def same_picture(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures show the same; versions of Pillow may differ by a shade at an edge."""
    if one.size != other.size or one.mode != other.mode:
        return False
    differences = ImageChops.difference(one, other).split()
    return all(sum(band.histogram()[9:]) == 0 for band in differences)
