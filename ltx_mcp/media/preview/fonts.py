"""Finds, among the fonts of this machine, one that really has a character.

A font is asked by drawing: what looks like its "missing" box, or like nothing, is missing.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import ImageFont

from ltx_mcp.media.messages import FONT_FOLDERS

# Plain faces first, then those that carry one script; a font's rank is the first prefix its file name begins with.
_LIKELY = (
    "notosans-regular", "inter-regular", "sfns", "segoeui", "helveticaneue", "roboto-regular", "opensans-regular",
    "ubuntu-r", "arial", "liberationsans-regular", "dejavusans", "notosanscjk", "notosanssc", "notosansjp",
    "notosanskr", "notosanstc", "pingfang", "hiraginosansgb", "msyh", "yugoth", "malgun", "stheiti", "wqy",
    "droidsansfallback", "sourcehansans", "simsun", "arialunicode", "notosansarabic", "geezapro", "notosanshebrew",
    "arialhb", "notosansdevanagari", "nirmala", "kohinoor", "notosansthai", "leelaw", "thonburi", "notosans",
    "seguisym", "applesymbols", "notoemoji", "seguiemj", "symbola", "freesans", "unifont",
)  # fmt: skip
_STYLED = ("bold", "italic", "oblique", "light", "thin", "black", "heavy", "mono", "condensed", "serif", "narrow")
# They have a glyph for everything, and it says nothing.
_BLANK = ("lastresort", "adobeblank")
_SUFFIXES = (".ttf", ".otf", ".ttc")
_MAX_FILES = 5000
_MAX_FONTS = 250
_MAX_PROBES = 20_000
_PROBE_SIZE = 20
_MEASURED_SIZE = 60
_NOWHERE = "\U0010fffe"  # a noncharacter: every font answers it with its missing box


def font_folders() -> list[Path]:
    """The folders where Linux, macOS and Windows keep fonts, those of the user included."""
    folders = [Path(os.path.expanduser(folder)) for folder in FONT_FOLDERS]
    return [folder for folder in folders if folder.is_dir()]


class Typeface:
    """One font that could be opened."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        basic = ImageFont.Layout.BASIC
        plain = ImageFont.truetype(path, _PROBE_SIZE, layout_engine=basic) if path else _built_in(_PROBE_SIZE)
        self._probe = plain
        self._missing = _glyph_bitmap(plain, _NOWHERE)
        self._fonts: dict[int, ImageFont.FreeTypeFont] = {}

    def font(self, size: int) -> ImageFont.FreeTypeFont:
        """The font to draw with; it shapes scripts where the machine's Pillow can."""
        if size not in self._fonts:
            self._fonts[size] = ImageFont.truetype(self._path, size) if self._path else _built_in(size)
        return self._fonts[size]

    def width(self, text: str) -> float:
        """How wide a text is, in sizes of the letters."""
        return self.font(_MEASURED_SIZE).getlength(text) / _MEASURED_SIZE

    def has(self, character: str) -> bool:
        """Whether the font draws this one character."""
        try:
            bitmap = _glyph_bitmap(self._probe, character)
        except (OSError, ValueError):
            return False
        return bitmap != self._missing and any(bitmap)


class Typefaces:
    """The fonts of a text, opened one after the other only as far as its characters ask for."""

    def __init__(self, folders: Iterable[Path] | None = None) -> None:
        self._built_in = Typeface(None)
        self._files = _font_files(font_folders() if folders is None else folders)
        self._open: list[Typeface] = []
        self._found: dict[str, Typeface | None] = {}
        self._probes = 0

    def find(self, cluster: str, plain: bool = False) -> Typeface | None:
        """The first font with all of a base character and its marks; `plain` asks Pillow's own ASCII font first."""
        if plain:
            return self._built_in
        if cluster not in self._found:
            self._found[cluster] = next((face for face in self._faces() if self._covers(face, cluster)), None)
        return self._found[cluster]

    def has_plain(self, text: str) -> bool:
        """Whether Pillow's own font has the whole text, so that no other is needed."""
        return text.isascii() or all(self._covers(self._built_in, character) for character in sorted(set(text)))

    def _faces(self) -> Iterator[Typeface]:
        yield from self._open
        while len(self._open) < _MAX_FONTS and self._probes < _MAX_PROBES:
            path = next(self._files, None)
            if path is None:
                break
            try:
                face = Typeface(path)
            except (OSError, ValueError):
                continue
            self._open.append(face)
            yield face
        yield self._built_in

    def _covers(self, face: Typeface, cluster: str) -> bool:
        seen = [character for character in cluster if _is_seen(character)]
        self._probes += len(seen)
        return self._probes < _MAX_PROBES and all(map(face.has, seen))


def _built_in(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType")
    return font


def _glyph_bitmap(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    mask = font.getmask(character)
    return bytes(mask) if mask.size[0] and mask.size[1] else b""


def _is_seen(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) != "Cf"


def _font_files(folders: Iterable[Path]) -> Iterator[str]:
    found = []
    for folder in folders:
        for place, _, names in os.walk(folder, onerror=None):
            found += [(place, name) for name in names if name.lower().endswith(_SUFFIXES)]
            if len(found) > _MAX_FILES:
                break
    ranked = sorted((_rank(name), place, name) for place, name in found)
    return iter([os.path.join(place, name) for rank, place, name in ranked if rank[0] >= 0])


def _rank(name: str) -> tuple[int, int, int, str]:
    stem = name.rsplit(".", 1)[0].lower().replace(" ", "").replace("_", "")
    if stem.startswith(_BLANK):
        return -1, 0, 0, stem
    likely = next((rank for rank, prefix in enumerate(_LIKELY) if stem.startswith(prefix)), len(_LIKELY))
    return likely, sum(word in stem for word in _STYLED), len(stem), stem
