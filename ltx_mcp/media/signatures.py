"""What a file is that is not read, by a few of its bytes: so that a refusal can name it."""

import mmap
import re
from pathlib import Path

_STARTS = (
    (b"%PDF", "a PDF"),
    (b"8BPS", "a Photoshop file (PSD)"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"FUJIFILMCCD-RAW", "a camera's RAW file"),
    (b"IIU\0", "a camera's RAW file"),
    (b"IIRO", "a camera's RAW file"),
    (b"IIRS", "a camera's RAW file"),
    (b"FOVb", "a camera's RAW file"),
    (b"II*\0", "TIFF, or a camera's RAW file"),
    (b"MM\0*", "TIFF, or a camera's RAW file"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"icns", "an icon (ICNS)"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"gimp xcf", "a GIMP file (XCF)"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\x01\0\0\0", "a Windows metafile (EMF)"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"PK\x03\x04", "a ZIP archive, or an office document"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"ID3", "a sound (MP3)"),
    (b"OggS", "a sound or a video (OGG)"),
    (b"fLaC", "a sound (FLAC)"),
)
_TRANSPORT_PACKETS = (0, 188, 376), (4, 196, 388)  # plain, and as camcorders write them
_SYNC = 0x47
_DOLBY_BYTES = 28
_MEDIA: tuple[tuple[int, bytes, str], ...] = (
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"riff\x2e\x91\xcf\x11", "Wave64"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV or WMA"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"MThd", "MIDI, which is notes and no sound"),
    (0, b".snd", "AU"),
    (0, b"FLV", "FLV"),
    (0, b"\0\0\x01\xba", "MPEG, as on DVDs"),
    (0, b"\0\0\x01\xb3", "MPEG, without a container"),
    (0, b"\0\0\0\x01", "H.264 or H.265 without a container"),
    (0, b"\x06\x0e\x2b\x34", "MXF"),
    (0, b"GIF8", "GIF, a picture"),
    (0, b"\x89PNG", "PNG, a picture"),
    (0, b"\xff\xd8\xff", "JPEG, a picture"),
    (0, b"%PDF", "PDF"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"PK\x03\x04", "ZIP"),
)
_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_RIFFS = {b"WAVE": "a sound (WAV)", b"AVI ": "a video (AVI)"}
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_NETPBM = re.compile(rb"P[1-7][\s#]")


def name_image(head: bytes) -> str:
    """What this is, with its article where it needs one; empty where it is not known. `head`: some kilobytes."""
    if not head:
        return "an empty file"
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF":
        return _RIFFS.get(head[8:12], "")
    if head[4:8] == b"ftyp" and head[8:12] not in _IMAGE_BRANDS:
        return "a camera's RAW file (CR3)" if head[8:12] == b"crx " else "a video (MP4 or MOV)"
    if head[12:16] == b"CgBI":
        return "a PNG repacked for an iPhone app (CgBI)"
    if head[128:132] == b"DICM":
        return "a medical picture (DICOM)"
    if _NETPBM.match(head):
        return "a Netpbm picture (PPM, PGM)"
    if _SVG.search(head):
        return "SVG, a drawing and no picture of pixels"
    return "a web page (HTML)" if _PAGE.search(head) else ""


def name_media(path: str | Path) -> str:
    """The name of such a kind; empty for all others."""
    with open(path, "rb") as file:
        head = file.read(512)
    for place, mark, name in _MEDIA:
        if head[place : place + len(mark)] == mark:
            return name
    for places in _TRANSPORT_PACKETS:
        if len(head) > places[-1] and all(head[place] == _SYNC for place in places):
            return "an MPEG transport stream, such as MTS"
    return ""


def dolby_only_profile(path: str | Path) -> int:
    """The profile of Dolby Vision where there is no base layer that other decoders can show; 0 elsewhere."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for name in (b"dvcC", b"dvvC"):
            if (place := data.find(name)) > 0 and len(data) > place + _DOLBY_BYTES:
                profile, base = data[place + 6] >> 1, data[place + 8] >> 4
                return profile if data[place + 4] == 1 and not base else 0
    return 0
