"""What a file is that is no picture we take, by how it begins: so that a refusal can call it by its name."""

import re

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
_PICTURES = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_RIFFS = {b"WAVE": "a sound (WAV)", b"AVI ": "a video (AVI)"}
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_NETPBM = re.compile(rb"P[1-7][\s#]")


def name_format(head: bytes) -> str:
    """What this is, with its article where it needs one; empty where it is not known. `head`: some kilobytes."""
    if not head:
        return "an empty file"
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF":
        return _RIFFS.get(head[8:12], "")
    if head[4:8] == b"ftyp" and head[8:12] not in _PICTURES:
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
