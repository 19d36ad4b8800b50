"""The words of the terminal: arguments as they are typed, a command that was meant, no advice that is for agents."""

import ast
import re
from pathlib import Path

import click
import pytest

from ltx_mcp.cli.jobs import jobs
from ltx_mcp.cli.main import BELOW_JOBS, OTHERS_SAY, cli
from ltx_mcp.cli.output.text import names_of, rename
from ltx_mcp.domain.arguments import OPERATIONS, EstimateCost
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.presentation.result_models import AdjustmentView
from ltx_mcp.presentation.result_text import changes_text
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.providers.key_names import find_misnamed, previews_text
from tests.cli.conftest import MAKING, SMALL, Command
from tests.conftest import Emulated

PACKAGE = Path(__file__).parents[2] / "ltx_mcp"


# -- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("generate x --duration abc", "--duration takes seconds, such as 6, or auto (got 'abc')."),
        ("extend x --duration lots", "--duration takes seconds, such as 6 (got 'lots')."),
        ("generate x --max-cost-usd much", "--max-cost-usd takes an amount in USD, such as 0.50 (got 'much')."),
        ("estimate --count two", "--count takes a whole number, such as 2 (got 'two')."),
        ("generate x --fps 30", "--fps should be 24, 25, 48 or 50 (got 30)."),
        ("generate x --provider nobody", "--provider: 'nobody' is not one of "),
        (
            "generate x --duration 7 --provider local",
            "local preview: --duration 7 is not offered; allowed: --duration 6",
        ),
        ("animate nope.png x", "image: "),
        ("animate job_aaaaaaaaaaaaaaaaaaaa x", "image: "),
        ("animate x.png x --end-image nope.png", "image: "),
        ("extend nope.mp4", "video: "),
        ("from-audio nope.mp3", "--prompt or --image is required."),
        ("from-audio nope.mp3 --prompt x", "audio: "),
        ("estimate --video x", "--video does not belong to operation text_to_video."),
        ("estimate --operation retake --video nope.mp4", "--video: "),
    ],
)
def test_an_argument_is_named_as_it_is_typed(ltx: Command, command: str, said: str) -> None:
    ended = ltx(*command.split())
    assert ended.returncode == 2
    _, _, sentence = ended.stderr.partition(": ")
    assert sentence.partition(": ")[2].startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "image: video lasts.png does not exist",
        "image: video of a cat is not one of these.png does not exist",
        "The provider does not accept the key. Set the model that the video has.",
        "estimate shows what each provider needs",
    ],
)
def test_what_only_looks_like_an_argument_stays(text: str) -> None:
    assert rename(text, {"image": "--image"}) == text.replace("image: ", "--image: ")


def test_every_command_calls_every_argument_by_what_it_takes() -> None:
    said_by_its_kind = {"transition", "transition_seconds"}  # --fade 0.5
    for model, name in zip(OPERATIONS, MAKING, strict=True):
        command = cli.get_command(click.Context(cli), name)
        assert command
        assert model.model_fields.keys() - {"wait_seconds"} - said_by_its_kind <= names_of(command).keys()
    estimate = cli.get_command(click.Context(cli), "estimate")
    assert estimate
    assert EstimateCost.model_fields.keys() <= names_of(estimate).keys()


def test_nothing_that_an_agent_is_told_names_an_option_of_the_terminal() -> None:
    """Only what the terminal alone says may: verdicts of a person, why a service does not start, lines of the log."""
    of_jobs = ("recovery.py", "steps/context.py", "handover.py", "webhooks/incoming.py")
    ours = {PACKAGE / "jobs" / name for name in of_jobs}
    ours |= {PACKAGE / "domain" / "confirmation.py", PACKAGE / "media" / "client.py", PACKAGE / "media" / "process.py"}
    ours |= {PACKAGE / "server" / "auth" / name for name in ("setup.py", "tokens_file.py")}
    assert all(path.exists() for path in ours)
    found = []
    for floor in ("domain", "jobs", "media", "net", "presentation", "providers", "server"):
        for path in sorted((PACKAGE / floor).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
            told = [text for text in texts if isinstance(text, str) and re.search(r"(?<![\w-])--[a-z]", text)]
            docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
            found += [(path.name, text) for text in told if text not in docs and path not in ours]
    assert found == []


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


# -- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("genrate", "generate"), ("doctr", "doctor"), ("shwo", "jobs show"), ("list", "jobs"), ("adpot", "jobs adopt")],
)
def test_a_misspelt_command_gets_the_one_that_is_meant(ltx: Command, typed: str, meant: str) -> None:
    ended = ltx(typed, "x")
    assert ended.returncode == 2
    begin = f"ltx-mcp: No such command '{typed}'. Did you mean '{meant}'? ltx-mcp --help shows"
    assert ended.stderr.startswith(begin)
    assert ltx("xyzzy").stderr == "ltx-mcp: No such command 'xyzzy'. ltx-mcp --help shows what can be given.\n"


def test_what_is_suggested_exists() -> None:
    assert set(BELOW_JOBS) <= jobs.commands.keys()
    context = click.Context(cli)
    for meant in OTHERS_SAY.values():
        name, *below = meant.split()
        assert name.startswith("--") or cli.get_command(context, name)
        assert not below or below[0] in jobs.commands


# -- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        *[
            (name, "fal")
            for name in ("FAL_API_KEY", "FAL_AI_KEY", "FALAI_API_KEY", "FAL_TOKEN", "fal_key", "FAL_KEY_ID")
        ],
        *[(name, "ltx") for name in ("LTX_KEY", "LTXV_KEY", "LTX_API_TOKEN", "LIGHTRICKS_API_KEY", "LTX_APIKEY")],
        *[("NETWRCK_KEY", "netwrck"), ("BYTECOMPUTE_KEY", "bytecompute"), ("BYTE_COMPUTE_API_KEY", "bytecompute")],
        *[
            (name, "")
            for name in ("OPENAI_API_KEY", "AI_KEY", "KEY", "API_KEY", "FAL_KEYBOARD", "FALSE_KEY", "FAL_URL")
        ],
    ],
)
def test_a_key_under_another_name_is_noticed(name: str, provider: str) -> None:
    environment = {name: "sk-secret", "PATH": "/bin"}
    assert {facts.name for facts in read_providers() if find_misnamed(facts, environment)} == ({provider} - {""})
    catalog = make_catalog(read_providers(), (), lambda name: "")
    told = previews_text(catalog, environment, "this is a preview")
    assert told.startswith("No key found (FAL_KEY, LTX_API_KEY, ")
    assert (f"{name} is set, but the name is " in told) == bool(provider)
    assert "sk-secret" not in told


def test_where_a_key_is_set_or_previews_are_wanted_nothing_is_said() -> None:
    environment = {"FAL_KEY": "k", "FAL_API_KEY": "k"}
    catalog = make_catalog(read_providers(), (), lambda name: environment.get(name, ""))
    assert previews_text(catalog, environment, "this is a preview") == ""
    previews = make_catalog(read_providers(), ("local",), lambda name: "")
    assert previews_text(previews, {"FAL_API_KEY": "k"}, "this is a preview") == ""
    assert not any(find_misnamed(facts, environment) for facts in read_providers() if facts.name == "fal")


def test_a_preview_for_want_of_a_key_says_so_and_a_missing_key_names_what_is_set(ltx: Command) -> None:
    keys = {"FAL_KEY": "", "LTX_KEY": "zz-secret"}
    _, told, *_ = ltx("generate", "x", *SMALL, **keys).stderr.splitlines()
    assert told.startswith("No key found (FAL_KEY, LTX_API_KEY, NETWRCK_API_KEY, BYTECOMPUTE_API_KEY), so this is a ")
    assert "LTX_KEY is set, but the name is LTX_API_KEY." in told
    refused = ltx("generate", "x", "--provider", "ltx", **keys).stderr
    assert "ltx needs LTX_API_KEY or LTXV_API_KEY. LTX_KEY is set, but the name is LTX_API_KEY." in refused
    assert "zz-secret" not in told + refused


def test_a_server_that_can_only_make_previews_says_so_at_its_start(ltx: Command) -> None:
    told = ltx("serve", LTX_MCP_LOG_LEVEL="INFO", FAL_API_KEY="zz-secret").stderr
    assert "No key found (FAL_KEY, " in told
    assert "so films are previews. FAL_API_KEY is set, but the name is FAL_KEY." in told
    assert "zz-secret" not in told
    assert "No key" not in ltx("serve", LTX_MCP_LOG_LEVEL="INFO", FAL_KEY="k").stderr


# -- what a person is told ----------------------------------------------------------------------------------------


def test_a_person_is_not_told_to_ask_the_user(ltx: Command, emulator: Emulated) -> None:
    ended = ltx("generate", "x", **settings(emulator[0]), LTX_MCP_CONFIRM_ABOVE_USD="0.1")
    assert ended.returncode == 3
    assert " Not ordered. To agree: --yes, or once within ten minutes --max-cost-usd 0." in ended.stderr
    assert "the user" not in ended.stderr.lower()


def test_after_an_unknown_outcome_the_commands_that_settle_it_are_shown(ltx: Command, emulator: Emulated) -> None:
    emulator[1].faults.append(Fault("netwrck", "submit", "status", 1, {"status": 500}))
    ended = ltx("generate", "x", "--provider", "netwrck", **settings(emulator[0]))
    assert (ended.returncode, ended.stdout) == (6, "")
    job_id = ended.stderr.split()[0]
    for way in (
        f"adopt netwrck REMOTE_ID --job {job_id}",
        f"resolve {job_id} not-charged",
        f"resolve {job_id} charged",
    ):
        assert f": ltx-mcp jobs {way}\n" in ended.stderr
        assert f": ltx-mcp jobs {way}\n" in ltx("jobs", "show", job_id).stdout


@pytest.mark.parametrize(
    ("got", "left_out"),
    [
        ("5 characters have no font on this machine", "5 characters"),
        ("without 1 of its characters (no font here)", "1 character"),
    ],
)
def test_what_a_caption_leaves_out_is_no_change_of_the_prompt(got: str, left_out: str) -> None:
    told = changes_text([AdjustmentView(field="caption", asked="the whole prompt", got=got, by="film")])
    assert told == f"The caption leaves out {left_out} (no font here); the prompt itself was used whole."


def test_a_size_that_a_provider_makes_otherwise_is_told_plainly_and_its_own_words_are_marked() -> None:
    size = AdjustmentView(field="resolution", asked="1920x1080", got="1920x1088", by="provider")
    words = AdjustmentView(field="resolution", asked="1920x1080", got="call check_job again", by="provider")
    assert changes_text([size]) == "Changed: resolution 1920x1080 -> 1920x1088 (by the provider)."
    assert changes_text([words]).endswith("-> “call check_job again” (by the provider, in its words).")
