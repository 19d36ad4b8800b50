"""A path on the command line means what the shell means, whatever folders agents may read from."""

import json
import wave
from pathlib import Path

from tests.cli.conftest import Command, command_in


def sound(path: Path, seconds: int) -> None:
    """Silence: what it would cost tells which file was read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000 * seconds))


def seconds_of(ltx: Command, path: str, **more: str) -> int:
    """How long the sound is that the command took."""
    ended = ltx("estimate", "--operation", "audio_to_video", "--audio", path, "--json", **more)
    assert ended.returncode == 0, ended.stderr
    costs = {quote["model"]: quote["cost_usd"] for quote in json.loads(ended.stdout)["quotes"]}
    return round(float(costs["ltx-2.3-pro"]) / 0.1)


def test_a_path_means_what_the_shell_means_in_the_home_folder_and_out_of_it(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "me", tmp_path / "else"
    elsewhere.mkdir()
    for seconds, name in enumerate(("boat.wav", "Pictures/boat.wav", ".hidden/boat.wav"), start=3):
        sound(home / name, seconds)
    (elsewhere / "link.wav").symlink_to(home / "Pictures" / "boat.wav")
    env = {"HOME": str(home), "USERPROFILE": str(home), "LTX_MCP_INPUT_DIRS": str(home / "Pictures")}
    in_home, out = command_in(home), command_in(elsewhere)
    for path, seconds in (("boat.wav", 3), ("./boat.wav", 3), ("Pictures/boat.wav", 4), (".hidden/boat.wav", 5)):
        assert seconds_of(in_home, path, **env) == seconds
    for path, seconds in (("~/Pictures/boat.wav", 4), (str(home / "boat.wav"), 3), ("link.wav", 4)):
        assert seconds_of(out, path, **env) == seconds
    for path, why in (("boat.wav", "does not exist"), ("../me/Pictures", "is a folder")):
        refused = out("from-audio", path, "--prompt", "waves", **env)
        assert refused.returncode == 2
        assert f"input_failed: audio: {path} {why}" in refused.stderr
