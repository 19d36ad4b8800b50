"""What is told around an order: what is ordered before it is paid, on the way who took it, and then what is next."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from ltx_mcp.cli.main import cli
from ltx_mcp.cli.output.job import next_steps
from ltx_mcp.cli.output.screen import broken
from ltx_mcp.domain.arguments import AnimateImage, ExtendVideo, RetakeVideo
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.presentation.result_models import JobView
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.cli.conftest import Command, Ended, command_in
from tests.conftest import Emulated

JOB = "job_" + "a" * 20
MODELS: dict[str, tuple[type[Any], str]] = {
    "extend": (ExtendVideo, "video"),
    "retake": (RetakeVideo, "video"),
    "animate": (AnimateImage, "image"),
}


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
    """The emulated providers, in a hurry."""
    emulator[1].wait_s, emulator[1].work_s = 0.0, 0.05
    return emulator[1]


@pytest.fixture
def shop(emulator: Emulated, world: EmulatorState, tmp_path: Path) -> Command:
    run, env = command_in(tmp_path), settings(emulator[0])

    def shopping(*arguments: str, **more: str) -> Ended:
        return run(*arguments, **env | more)

    return shopping


def test_what_is_ordered_is_told_before_it_is_taken_and_stdout_stays_the_path(
    shop: Command, world: EmulatorState
) -> None:
    ended = shop("generate", "a pond", "--provider", "fal")
    (path,) = ended.stdout.splitlines()
    job_id = Path(path).stem
    ordering, taken, *_ = ended.stderr.splitlines()
    order = "6 s, 1080p, 16:9, with sound at fal (ltx-2.3-fast), 0.24 USD, at most 0.36"
    assert ordering == f"{job_id} ordering: {order}."
    assert taken == f"{job_id} ordered: fal took it."


def test_an_order_that_nobody_took_was_never_called_ordered(shop: Command, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "submit", "locked", times=9))
    ended = shop("generate", "a pond", "--provider", "fal")
    assert ended.returncode == 5
    assert " ordering: 6 s" in ended.stderr.splitlines()[0]
    assert "ordered:" not in ended.stderr


def test_each_change_of_provider_is_told_with_its_reason_and_the_new_price(shop: Command, world: EmulatorState) -> None:
    for provider in ("bytecompute", "netwrck"):
        world.faults.append(Fault(provider, "submit", "locked", times=9))
    ended = shop("generate", "a pond", "--max-cost-usd", "1")
    lines = ended.stderr.splitlines()
    assert " ordering: 6 s, 1080p, 16:9, with sound at bytecompute (ltx-2.3), 0.24 USD" in lines[0]
    steps = "netwrck (ltx-2.3), 0.288 USD, at most 0.29", "fal (ltx-2.3-fast), 0.24 USD, at most 0.36"
    for line, left, taken in zip(lines[1:], ("bytecompute", "netwrck"), steps, strict=False):
        assert line.startswith(f"The account at {left} has no credit left")
        assert line.endswith(f" Now ordering: 6 s, 1080p, 16:9, with sound at {taken}.")
    assert lines[3].endswith(" ordered: fal took it.")


def catalog_of(*keys: str) -> Catalog:
    return make_catalog(read_providers(), (), lambda name: "key" if name in keys else "")


def view(**film: object) -> JobView:
    about: dict[str, object] = {
        "job_id": JOB,
        "state": "succeeded",
        "operation": "text_to_video",
        "provider": "fal",
        "next": "",
    }
    about |= {"model": "ltx-2.3-fast", "is_preview": False, "cost_usd": 0.24, "created_at": "2026-11-28T00:00:00Z"}
    shape = {"duration": 6.0, "width": 1920, "height": 1080, "fps": 25.0, "has_audio": True}
    return JobView.model_validate(about | shape | film)


@pytest.mark.parametrize("film", [{}, {"width": 1080, "height": 1920}, {"duration": 4.0}, {"duration": 20.0}])
@pytest.mark.parametrize("keys", [("FAL_KEY",), ("LTX_API_KEY",), ("NETWRCK_API_KEY",), ()])
def test_each_suggestion_stands_beside_the_price_that_its_command_has(
    keys: tuple[str, ...], film: dict[str, object]
) -> None:
    catalog, shown = catalog_of(*keys), view(**film)
    (again, _), *steps = next_steps(shown, catalog)
    assert again == "again, 0.24 USD"
    assert steps
    for words, command in steps:
        _, name, *given = shlex.split(command)
        found = cli.get_command(click.Context(cli), name)
        assert found
        model, role = MODELS[name]
        values = found.make_context(name, given).params
        arguments = model.model_validate({key: value for key, value in values.items() if key in model.model_fields})
        seconds = shown.duration or 0.0
        medium = Input(role, job_id=JOB, frame_position="last", width=shown.width or 0, height=shown.height or 0)
        if role == "video":
            medium = replace(medium, frame_position="", duration=seconds, fps=25.0, frames=round(seconds * 25))
        assert select_offers(to_request(arguments), (medium,), catalog)[0].price in words


def test_the_longer_film_is_suggested_with_little_context_and_both_prices() -> None:
    words, command = next_steps(view(), catalog_of("FAL_KEY"))[1]
    assert command == f"ltx-mcp extend {JOB} --duration 5 --context 2"
    assert words == "5 s longer, 0.70 USD (1.10 USD with 6 s of context, taken where none is named)"


def test_a_question_is_broken_between_words_and_leaves_room_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    asked = "The same request was made 6 s ago: job_00000000000000000000 is running. Order another one for 0.24 USD?"
    lines = broken(asked).splitlines()
    assert " ".join(lines) == asked
    assert max(map(len, lines)) <= 80 - len(" [y/N]: y")
    assert broken("\x1b[2Jnow?") == "now?"
