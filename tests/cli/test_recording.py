"""The recording in the docs shows what the commands say today; `python docs/recording.py` renews it."""

import re
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ltx_mcp.emulator.app import settings
from tests.cli.conftest import posix
from tests.cli.screens import Screen
from tests.conftest import Emulated

pytestmark = posix

RECORDING = Path(__file__).parents[2] / "docs" / "terminal.svg"
SVG = "{http://www.w3.org/2000/svg}"
MAX_BYTES = 150_000
CHANCE = (
    (r"job_\w{20}", "JOB"),
    (r"~?/\S+\.mp4", "FILM"),
    (r"\b\d+ (?:s|min)  ", "AGE  "),
    (r"[ ]+", " "),
    (r"\w*…$", "…"),
)
"""What differs from run to run."""
MOVING = re.compile(r"^(preparing|sending|at bytecompute|saving)\b[^\d]*")


def settled(lines: list[str]) -> list[str]:
    text = "\n".join(lines).strip()
    for pattern, word in CHANCE:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return [line for line in text.split("\n") if line.strip()]


@pytest.fixture(scope="module")
def recording() -> ElementTree.Element:
    return ElementTree.parse(RECORDING).getroot()


def told(recording: ElementTree.Element) -> dict[str, list[str]]:
    """The lines each command left, by command."""
    found: dict[str, list[str]] = {}
    for line in (recording.findtext(f"{SVG}desc") or "").strip().split("\n"):
        if line.startswith("$ "):
            found[line[2:]] = []
        else:
            found[list(found)[-1]].append(line)
    return found


def test_the_commands_it_shows_say_the_same_today(
    recording: ElementTree.Element, emulator: Emulated, tmp_path: Path
) -> None:
    address, world = emulator
    world.wait_s, world.work_s = 0.1, 0.3
    commands = told(recording)
    assert any("generate" in command for command in commands)
    for command, lines in commands.items():
        habits: dict[str, Any] = {"HOME": str(tmp_path), **settings(address)}
        screen = Screen(tmp_path / "home", *shlex.split(command)[1:], **habits)
        try:
            assert screen.end() == 0, command
            # where a line is wider than the terminal, the recording has it as two
            assert " ".join(settled(screen.left)).split() == " ".join(settled(lines)).split(), command
        finally:
            screen.close()


def test_the_words_that_move_in_it_are_those_of_a_job_under_way(recording: ElementTree.Element) -> None:
    source = (Path(__file__).parents[2] / "ltx_mcp" / "presentation" / "result_text.py").read_text("utf-8")
    moving = {found[1] for each in recording.iter(f"{SVG}text") if (found := MOVING.match(each.text or ""))}
    assert {"at bytecompute", "saving"} <= moving
    for words in moving:
        assert words.replace("at bytecompute", "at {provider}") in source


def test_it_is_small_moves_without_scripts_and_names_no_folder_of_anybodys(recording: ElementTree.Element) -> None:
    text = RECORDING.read_text("utf-8")
    assert len(text.encode()) < MAX_BYTES
    assert not [each.tag for each in recording.iter() if each.tag.endswith("script")]
    assert "prefers-reduced-motion" in text
    assert not re.search(r"/(home|root|tmp|Users|var)\b|https?://(?!www\.w3\.org)", text)
