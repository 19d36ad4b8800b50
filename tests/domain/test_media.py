"""What a media argument may say."""

from base64 import b64encode

import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.media_reference import DataUri, JobFrameRef, LocalPath, Reference, WebUrl, read_reference

BEGINNINGS = [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0\0\x10JFIF",
    b"GIF89a\0\0\0",
    b"RIFF\0\0\0\0WEBP",
    b"\0\0\0\x18ftypmp42",
    b"\0\0\0\x20ftypheic",
    b"\x1aE\xdf\xa3\0\0\0\0",
    b"ID3\4\0\0\0\0",
    b"OggS\0\2\0\0",
]
HEADS = [b64encode(head).decode()[:11] for head in BEGINNINGS]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("job_abcd1234", JobFrameRef("job_abcd1234", "last", names_no_frame=True)),
        ("job_abcd1234#last", JobFrameRef("job_abcd1234", "last")),
        ("job_abcd1234#first", JobFrameRef("job_abcd1234", "first")),
        ("job_abcd1234#3.5", JobFrameRef("job_abcd1234", 3.5)),
        ("job_abcd1234#0", JobFrameRef("job_abcd1234", 0.0)),
        (" job_abcd1234#12\n", JobFrameRef("job_abcd1234", 12.0)),
        ("https://a.example/b.png?c=d#e", WebUrl("https://a.example/b.png?c=d#e")),
        ("HTTPS://a.example", WebUrl("HTTPS://a.example")),
        ("data:image/png;base64,AAAA", DataUri("image/png", "AAAA")),
        ("DATA:Image/PNG;charset=x;BASE64, A A", DataUri("image/png", " A A")),
        ("data:;base64,AAAA", DataUri("", "AAAA")),
        ("pictures/a.png", LocalPath("pictures/a.png")),
        ("~/a.png", LocalPath("~/a.png")),
        ("/tmp/a b.png", LocalPath("/tmp/a b.png")),
        ("C:\\Users\\me\\a.png", LocalPath("C:\\Users\\me\\a.png")),
        ("c:/Users/me/a.png", LocalPath("c:/Users/me/a.png")),
        ("job_short", JobFrameRef("job_short", "last", names_no_frame=True)),
        ("./job_short", LocalPath("./job_short")),
        ("`job_abcd1234#first`", JobFrameRef("job_abcd1234", "first")),
        ("ltx://jobs/job_abcd1234", JobFrameRef("job_abcd1234", "last", names_no_frame=True)),
        (
            "http://127.0.0.1:8000/videos/job_abcd1234.mp4?exp=1&sig=x",
            JobFrameRef("job_abcd1234", "last", names_no_frame=True),
        ),
        ("file:///home/me/photo%20one.png", LocalPath("/home/me/photo one.png")),
        ("FILE://localhost/a.png", LocalPath("/a.png")),
        ("file:/a.png", LocalPath("/a.png")),
        ("file:a.png", LocalPath("file:a.png")),
        ("file:///C:/Users/me/a.png", LocalPath("C:/Users/me/a.png")),
        *((head + "A" * 80, DataUri("", head + "A" * 80)) for head in HEADS),
        ("/9j/" + "a" * 80 + ".jpg", LocalPath("/9j/" + "a" * 80 + ".jpg")),
        ("/9j/4AAQ", LocalPath("/9j/4AAQ")),
        ("job_abcd1234.png", LocalPath("job_abcd1234.png")),
        ("12:30.png", LocalPath("12:30.png")),
    ],
)
def test_a_reference_is_read_as_what_it_is(text: str, meant: Reference) -> None:
    assert read_reference(text, "image") == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "http://a.example/b.png?sig=SIGNED",
        "HTTP://a.example/b.png",
        "file://server/share/a.png",
        "file:///a%00.png",
        "ftp://a.example/b.png",
        "s3://bucket/SIGNED",
        "blob+x.y-z://SIGNED",
        "https://",
        "https:///b.png",
        "data:image/png,raw",
        "data:image/png;base64",
        "data:image/png;base65,AAAA",
        "a\0b.png",
        "https://a.example/\0",
        "job_abcd1234#",
        "job_abcd1234#middle",
        "job_abcd1234#-1",
        "job_abcd1234#nan",
        "job_abcd1234#inf",
        "job_abcd1234#1e3",
        "job_abcd1234#" + "9" * 400,
        "job_abcd1234#3.5s",
        "data:" + "a" * 20_000 + ";base64,AAAA",
        "data:" + ";" * 20_000 + "base64,AAAA",
        "a/" * 10_000,
        "https://a.example/SIGNED" + "a" * 20_000,
        "job_abcd1234#" + "9" * 20_000,
    ],
)
def test_a_reference_of_no_known_form_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(CallerError) as raised:
        read_reference(text, "end_image")
    assert raised.value.code is ErrorCode.INVALID_REQUEST
    assert raised.value.message.startswith("end_image ")
    for form in ("https URL", "data URI", "path inside the allowed folders", "job_…#last"):
        assert form in raised.value.message
    assert "SIGNED" not in raised.value.message
