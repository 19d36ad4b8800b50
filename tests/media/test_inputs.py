"""Which bytes are read for a media argument, and which never are."""

import base64
import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.domain.media_reference import DataUri, LocalPath, WebUrl
from ltx_mcp.media.inputs import InputReader
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 9
posix = pytest.mark.skipif(os.name == "nt", reason="links and FIFOs of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "allowed"
    made.mkdir()
    return made


@pytest.fixture
def into(tmp_path: Path) -> Path:
    made = tmp_path / "kept"
    made.mkdir()
    return made


async def probe_fine(path: Path) -> MediaInfo:
    assert path.is_file()
    return MediaInfo("png", 640, 360)


async def probe_broken(path: Path) -> MediaInfo:
    raise CallerError(ErrorCode.INPUT_FAILED, "The picture is damaged.", "Send a whole picture.")


async def no_fetch(url: str, out: Path, *, argument: str, max_bytes: int) -> str:
    raise AssertionError(url)


def reader(*folders: Path, max_bytes: int = 1_000_000) -> InputReader:
    return InputReader(folders, probe_fine, no_fetch, max_bytes)


async def refusal(
    reading: InputReader, ref: WebUrl | DataUri | LocalPath, into: Path, code: ErrorCode = ErrorCode.INPUT_FAILED
) -> str:
    """The sentence of the refusal, once it is sure that nothing was left behind."""
    with pytest.raises(CallerError) as raised, anyio.fail_after(HANG_S):
        await reading.read_picture(ref, "end_image", into)
    assert raised.value.code is code
    assert raised.value.message.startswith("end_image")
    assert list(into.iterdir()) == []
    return raised.value.message


# Data URIs


@pytest.mark.parametrize(
    "payload",
    [
        base64.b64encode(CONTENT).decode(),
        base64.encodebytes(CONTENT).decode().replace("\n", "\r\n "),
        base64.b64encode(CONTENT).decode().rstrip("="),
        base64.urlsafe_b64encode(CONTENT).decode().rstrip("="),
        quote(base64.b64encode(CONTENT).decode(), safe=""),
    ],
    ids=["plain", "wrapped", "unpadded", "url-safe", "percent"],
)
async def test_a_data_uri_is_decoded_however_it_is_written(payload: str, into: Path) -> None:
    for content in (CONTENT, CONTENT[:-1], CONTENT[:-2]):
        text = payload if content is CONTENT else base64.b64encode(content).decode().rstrip("=")
        picture = await reader().read_picture(DataUri("image/png", text), "image", into)
        assert picture.path.read_bytes() == content
        assert picture.path.parent == into
        assert (picture.input.sha256, picture.input.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert (picture.input.format, picture.input.width, picture.input.height) == ("png", 640, 360)


@pytest.mark.parametrize("payload", ["", "  ", "====", "A", "AAAAA", "AA=A", "AAA!", "ÄÄÄÄ", "%00%00"])
async def test_a_damaged_data_uri_is_refused(payload: str, into: Path) -> None:
    assert "data URI" in await refusal(reader(), DataUri("image/png", payload), into)


async def test_a_data_uri_over_the_limit_is_refused_and_one_at_it_is_not(into: Path) -> None:
    over = DataUri("image/png", base64.b64encode(bytes(1001)).decode())
    assert "too large" in await refusal(reader(max_bytes=1000), over, into)
    at = DataUri("image/png", base64.b64encode(bytes(1000)).decode())
    assert (await reader(max_bytes=1000).read_picture(at, "image", into)).input.size_bytes == 1000


# URLs


async def test_a_url_is_fetched_within_the_limit_and_hashed(into: Path) -> None:
    async def fetch(url: str, out: Path, *, argument: str, max_bytes: int) -> str:
        assert (url, argument, max_bytes) == ("https://a.example/b", "image", 777)
        out.write_bytes(CONTENT)
        return "text/plain"

    reading = InputReader(None, probe_fine, fetch, 777)
    picture = await reading.read_picture(WebUrl("https://a.example/b"), "image", into)
    assert picture.input.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert picture.input.size_bytes == len(CONTENT)


async def test_without_another_fetch_a_url_goes_through_the_guarded_one(into: Path) -> None:
    reading = InputReader(None, probe_fine)
    assert "public address" in await refusal(reading, WebUrl("https://127.0.0.1/a.png"), into)


def test_reading_inputs_does_not_load_httpx_before_a_url_is_given() -> None:
    code = "import sys, ltx_mcp.media.inputs; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Looking


async def test_a_picture_that_cannot_be_decoded_is_removed_and_its_argument_named(into: Path) -> None:
    ref = DataUri("image/png", base64.b64encode(CONTENT).decode())
    message = await refusal(InputReader((), probe_broken, no_fetch), ref, into)
    assert message == "end_image: The picture is damaged."


async def test_an_error_that_names_the_argument_is_passed_on_as_it_is(into: Path) -> None:
    error = CallerError(ErrorCode.INPUT_FAILED, "The image is damaged.", "Send a whole picture.")

    async def probe(path: Path) -> MediaInfo:
        raise error

    with pytest.raises(CallerError) as raised:
        await InputReader((), probe, no_fetch).read_picture(DataUri("", "AAAA"), "image", into)
    assert raised.value is error


async def test_a_bug_while_probing_leaves_no_file(into: Path) -> None:
    async def probe(path: Path) -> MediaInfo:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await InputReader((), probe, no_fetch).read_picture(DataUri("", "AAAA"), "image", into)
    assert list(into.iterdir()) == []


async def test_a_cancelled_reading_leaves_no_file(into: Path) -> None:
    async def probe(path: Path) -> MediaInfo:
        assert path.exists()
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.move_on_after(0.2) as scope:
        await InputReader((), probe, no_fetch).read_picture(DataUri("", "AAAA"), "image", into)
    assert scope.cancelled_caught
    assert list(into.iterdir()) == []


async def test_a_disk_that_takes_nothing_is_for_the_operator_to_mend(folder: Path, tmp_path: Path) -> None:
    (folder / "a.png").write_bytes(CONTENT)
    for ref in (DataUri("", "AAAA"), LocalPath("a.png")):
        with pytest.raises(SetupError) as raised:
            await reader(folder).read_picture(ref, "image", tmp_path / "gone")
        assert raised.value.code is ErrorCode.STORAGE_FAILED


# Paths


async def test_a_file_inside_is_copied_whether_named_relative_absolute_or_by_a_detour(folder: Path, into: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.png").write_bytes(CONTENT)
    for path in ("sub/a.png", str(folder / "sub" / "a.png"), "sub/../sub/a.png", f"../{folder.name}/sub/a.png"):
        picture = await reader(folder).read_picture(LocalPath(path), "image", into)
        assert picture.path.read_bytes() == CONTENT
        assert picture.input.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert len(list(into.iterdir())) == 4


async def test_a_tilde_stands_for_the_home_folder(folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    (folder / "a.png").write_bytes(CONTENT)
    assert await reader(folder).read_picture(LocalPath(f"~/{folder.name}/a.png"), "image", into)


async def test_a_relative_path_that_means_two_files_is_refused_with_both(tmp_path: Path, into: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for each in folders:
        each.mkdir()
    (folders[0] / "a.png").mkdir()
    (folders[1] / "a.png").write_bytes(b"two")
    reading = reader(*folders)
    picture = await reading.read_picture(LocalPath("a.png"), "image", into)
    assert (picture.path.read_bytes(), picture.found) == (b"two", str(folders[1].resolve() / "a.png"))
    picture.path.unlink()
    (folders[2] / "a.png").write_bytes(b"three")
    message = await refusal(reading, LocalPath("a.png"), into, ErrorCode.INVALID_REQUEST)
    assert all(str(each.resolve() / "a.png") in message for each in folders[1:])
    full = await reading.read_picture(LocalPath(str(folders[2] / "a.png")), "image", into)
    assert (full.path.read_bytes(), full.found) == (b"three", "")


@pytest.mark.parametrize("path", ["../secret.png", "sub/../../secret.png", "{outside}", "/etc/hosts", "~root/x", ".."])
async def test_a_path_that_leads_outside_is_refused(folder: Path, into: Path, path: str) -> None:
    outside = folder.parent / "secret.png"
    outside.write_bytes(CONTENT)
    given = path.format(outside=outside)
    message = await refusal(reader(folder), LocalPath(given), into, ErrorCode.INVALID_REQUEST)
    assert given[:79] in message
    assert str(folder) in message


async def test_a_sibling_whose_name_begins_like_the_folder_is_outside(folder: Path, into: Path) -> None:
    sibling = folder.with_name(folder.name + "2")
    sibling.mkdir()
    (sibling / "a.png").write_bytes(CONTENT)
    await refusal(reader(folder), LocalPath(str(sibling / "a.png")), into, ErrorCode.INVALID_REQUEST)


async def test_every_allowed_folder_is_listed(tmp_path: Path, folder: Path, into: Path) -> None:
    message = await refusal(reader(folder, tmp_path / "two"), LocalPath("/x.png"), into, ErrorCode.INVALID_REQUEST)
    assert f"{folder}, {tmp_path / 'two'}" in message


@pytest.mark.parametrize("path", [".a.png", ".git/a.png", "sub/.cache/deep/a.png"])
async def test_hidden_files_and_folders_are_never_read(folder: Path, into: Path, path: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(CONTENT)
    await refusal(reader(folder), LocalPath(path), into, ErrorCode.INVALID_REQUEST)
    await refusal(reader(folder), LocalPath(str(folder / path)), into, ErrorCode.INVALID_REQUEST)


async def test_a_folder_the_operator_allowed_may_itself_be_hidden(tmp_path: Path, into: Path) -> None:
    hidden = tmp_path / ".stills"
    hidden.mkdir()
    (hidden / "a.png").write_bytes(CONTENT)
    path = LocalPath(str(hidden / "a.png"))
    await refusal(reader(tmp_path), path, into, ErrorCode.INVALID_REQUEST)
    assert await reader(tmp_path, hidden).read_picture(path, "image", into)


@posix
async def test_a_link_that_leads_out_is_refused_be_it_file_or_folder(folder: Path, into: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(CONTENT)
    (folder / "file.png").symlink_to(outside / "a.png")
    (folder / "sub").symlink_to(outside)
    (folder / "gone.png").symlink_to(outside / "nothing.png")
    for path in ("file.png", "sub/a.png", "gone.png"):
        await refusal(reader(folder), LocalPath(path), into, ErrorCode.INVALID_REQUEST)


@posix
async def test_a_link_to_a_hidden_file_is_refused_and_one_to_an_open_file_is_followed(folder: Path, into: Path) -> None:
    (folder / ".env").write_bytes(CONTENT)
    (folder / "shown.png").symlink_to(".env")
    await refusal(reader(folder), LocalPath("shown.png"), into, ErrorCode.INVALID_REQUEST)
    (folder / "real.png").write_bytes(CONTENT)
    (folder / "link.png").symlink_to("real.png")
    assert await reader(folder).read_picture(LocalPath("link.png"), "image", into)


@posix
async def test_links_that_go_round_in_a_circle_are_refused(folder: Path, into: Path) -> None:
    (folder / "a.png").symlink_to("b.png")
    (folder / "b.png").symlink_to("a.png")
    with pytest.raises(CallerError):
        await reader(folder).read_picture(LocalPath("a.png"), "image", into)


@posix
@pytest.mark.parametrize("swapped", ["sub", "sub/a.png"])
async def test_a_link_put_in_after_the_path_was_checked_is_not_followed(
    folder: Path, into: Path, swapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(b"secret")
    (folder / "sub").mkdir()
    (folder / "sub" / "a.png").write_bytes(CONTENT)
    isfile = os.path.isfile

    def swap_after(path: Path) -> bool:
        found = isfile(path)
        place = folder / swapped
        place.rename(folder / "away")
        place.symlink_to(outside / Path(swapped).relative_to("sub"))
        return found

    monkeypatch.setattr(os.path, "isfile", swap_after)
    assert "cannot be opened" in await refusal(reader(folder), LocalPath("sub/a.png"), into)


@posix
async def test_an_allowed_folder_may_itself_be_a_link(folder: Path, into: Path) -> None:
    (folder / "a.png").write_bytes(CONTENT)
    link = folder.with_name("link")
    link.symlink_to(folder)
    for path in ("a.png", str(link / "a.png"), str(folder / "a.png")):
        assert await reader(link).read_picture(LocalPath(path), "image", into)
        assert await reader(folder).read_picture(LocalPath(path), "image", into)


@posix
async def test_a_fifo_is_refused_without_waiting_for_a_writer(folder: Path, into: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert "not a regular file" in await refusal(reader(folder), LocalPath("pipe.png"), into)


@posix
async def test_a_device_is_refused(into: Path) -> None:
    assert "not a regular file" in await refusal(reader(Path("/dev")), LocalPath("zero"), into)


def open_descriptors() -> set[int]:
    found = set()
    for descriptor in range(256):
        with suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


@posix
async def test_refused_files_leave_no_open_descriptor(folder: Path, into: Path) -> None:
    (folder / "sub").mkdir()
    await refusal(reader(folder), LocalPath("none.png"), into)
    before = open_descriptors()
    for path in ("sub", "sub/none.png", "sub/deep/none.png"):
        await refusal(reader(folder), LocalPath(path), into)
    assert open_descriptors() == before


async def test_a_folder_is_not_a_picture(folder: Path, into: Path) -> None:
    (folder / "sub").mkdir()
    for path in ("sub", ".", str(folder)):
        await refusal(reader(folder), LocalPath(path), into)


async def test_a_missing_file_is_told_as_the_caller_named_it(folder: Path, into: Path) -> None:
    message = await refusal(reader(folder), LocalPath("sub/none.png"), into)
    assert message.startswith("end_image: sub/none.png does not exist; ")
    assert str(folder) in message


@pytest.mark.parametrize("path", ["x" * 5000, "\udc00\ud800.png"])
async def test_a_path_no_file_can_have_is_refused(folder: Path, into: Path, path: str) -> None:
    with pytest.raises(CallerError):
        await reader(folder).read_picture(LocalPath(path), "image", into)


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root reads everything")
async def test_a_file_without_permission_cannot_be_opened(folder: Path, into: Path) -> None:
    (folder / "a.png").write_bytes(CONTENT)
    (folder / "a.png").chmod(0)
    assert "cannot be opened" in await refusal(reader(folder), LocalPath("a.png"), into)


async def test_a_file_over_the_limit_is_refused_and_one_at_it_is_not(folder: Path, into: Path) -> None:
    (folder / "over.png").write_bytes(bytes(1001))
    (folder / "at.png").write_bytes(bytes(1000))
    message = await refusal(reader(folder, max_bytes=1000), LocalPath("over.png"), into)
    assert "is too large" in message
    assert "0.001 MB" in message
    at = await reader(folder, max_bytes=1000).read_picture(LocalPath("at.png"), "image", into)
    assert at.input.size_bytes == 1000


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that says it is empty and is not")
async def test_a_file_larger_than_it_says_is_cut_off(into: Path) -> None:
    ref = LocalPath("status")
    assert "is too large" in await refusal(reader(Path("/proc/self"), max_bytes=10), ref, into)


async def test_where_paths_mean_nothing_the_other_forms_are_named(folder: Path, into: Path) -> None:
    (folder / "a.png").write_bytes(CONTENT)
    reading = InputReader(None, probe_fine, no_fetch)
    message = await refusal(reading, LocalPath(str(folder / "a.png")), into, ErrorCode.INVALID_REQUEST)
    for form in ("https URL", "data URI", "job_…#last"):
        assert form in message


async def test_no_folder_at_all_names_the_setting(into: Path) -> None:
    assert "LTX_MCP_INPUT_DIRS" in await refusal(reader(), LocalPath("a.png"), into, ErrorCode.INVALID_REQUEST)
