"""Films made at a terminal from a picture, from another film and from its sound."""

import json
from pathlib import Path

from PIL import Image

from tests.cli.conftest import SMALL, Command
from tests.media.films import Recipe, make, packets


def test_animate_starts_from_a_picture_of_this_machine(ltx: Command, tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((600, 800)).convert("RGB").save(tmp_path / "pier.png")
    ended = ltx("animate", "pier.png", "waves roll in", *SMALL, "--json")
    view = json.loads(ended.stdout)
    assert (ended.returncode, view["operation"]) == (0, "image_to_video")
    assert (view["width"], view["height"]) == (720, 960)


def test_a_film_is_lengthened_redone_and_its_sound_used_again(ltx: Command, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe(frames=75, seconds=3))
    longer = ltx("extend", str(clip), "--duration", "2", "--prompt", "the tide comes in", "--json")
    view = json.loads(longer.stdout)
    assert (longer.returncode, view["operation"], view["duration"]) == (0, "extend", 5)
    redone = ltx("retake", view["job_id"], "--start-time", "1", "--duration", "2", "--json")
    again = json.loads(redone.stdout)
    assert (redone.returncode, again["sources"], again["duration"]) == (0, [view["job_id"]], 5)
    sung = ltx("from-audio", again["job_id"], "--prompt", "a choir", "--resolution", "720p", "--json")
    assert (sung.returncode, json.loads(sung.stdout)["duration"]) == (0, 5)
    assert "start-time" in ltx("retake", str(clip), "--duration", "2").stderr
    priced = json.loads(ltx("estimate", "--operation", "retake", "--video", str(clip), "--json").stdout)
    assert {quote["cost_usd"] for quote in priced["quotes"]} == {0, 0.3}


def test_a_film_is_brought_into_another_shape_and_keeps_its_length_and_sound(ltx: Command, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe(frames=75, seconds=3))
    shaped = ltx("reframe", str(clip), "--aspect-ratio", "1:1", "--resolution", "720p", "--json")
    view = json.loads(shaped.stdout)
    assert (shaped.returncode, view["operation"], view["provider"]) == (0, "reframe", "local")
    assert (view["width"], view["height"], view["duration"], view["fps"]) == (720, 720, 3, 25)
    assert packets(Path(view["file"]), "audio") == packets(clip, "audio")
    priced = json.loads(ltx("estimate", "--operation", "reframe", "--video", str(clip), "--json").stdout)
    assert [quote["cost_usd"] for quote in priced["quotes"] if quote["provider"] == "local"] == [0]


def test_another_seed_makes_another_preview(ltx: Command) -> None:
    files = []
    for seed in ("7", "8"):
        view = json.loads(ltx("generate", "a pond", *SMALL, "--seed", seed, "--json").stdout)
        files.append(Path(view["file"]).read_bytes())
    assert files[0] != files[1]
