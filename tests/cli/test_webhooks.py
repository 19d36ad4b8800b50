"""`webhooks list` and `replay`, and what `doctor` says of webhooks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltx_mcp.cli.checks.webhooks import check_webhooks
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.webhooks.file import Webhook, read_webhooks
from ltx_mcp.jobs.webhooks.outbox import Outbox
from ltx_mcp.settings import read_settings
from tests.cli.conftest import Command, Place, posix
from tests.conftest import Clock
from tests.jobs.test_processes import Look
from tests.webhooks.receiver import SECRET, hook_text, receiving

URL = "https://shop.example.com/hooks?token=a-query-that-is-nobodys"
Doctor = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "webhooks.toml"
    path.write_text(hook_text("shop", URL, more='callers = ["local", "token|a"]'), encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def outbox(home: Path, file: Path) -> Iterator[Outbox]:
    """With the webhooks of the file registered."""
    database = Database.open(home)
    outbox = Outbox(database)
    outbox.register(read_webhooks(file, lambda name: "").outgoing)
    yield outbox
    database.close()


def test_the_list_shows_what_waits_and_what_the_last_one_answered_and_no_address(
    ltx: Command, outbox: Outbox, queued: Place, look: Look, file: Path, clock: Clock
) -> None:
    assert "shop     on     0        none" in ltx("webhooks", "list").stdout
    job_id = queued("a pond")
    ended = look.store.request_cancel("local", job_id, look.job(job_id).created_at)
    assert ended is not None
    (claimed,) = outbox.claim("shop", ended.created_at, 1)
    outbox.failed(claimed, "HTTP 503", ended.created_at)
    shown = ltx("webhooks", "list", LTX_MCP_WEBHOOKS=str(file))
    assert shown.stderr == ""
    assert "1, the first for" in shown.stdout
    assert f"{job_id} cancelled: to be tried again, HTTP 503" in shown.stdout
    outbox.disable(read_webhooks(file, lambda name: "").outgoing["shop"], clock())
    (found,) = json.loads(ltx("webhooks", "list", "--json").stdout)
    assert (found["webhook"], found["waiting"], found["disabled_at"]) == ("shop", 1, "2026-11-21T12:00:00.000Z")
    assert (found["last"]["job_id"], found["last"]["outcome"], found["last"]["answer"]) == (
        job_id,
        "waiting",
        "HTTP 503",
    )
    assert "nobodys" not in shown.stdout + json.dumps(found)


def test_the_list_says_where_the_file_differs(ltx: Command, outbox: Outbox, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(hook_text("new", URL, more=""), encoding="utf-8")
    said = ltx("webhooks", "list", LTX_MCP_WEBHOOKS=str(other)).stderr
    assert "Not in the file that LTX_MCP_WEBHOOKS names here: shop." in said
    assert "Not registered yet, which a server does that has the file: new." in said


def test_a_replay_says_what_it_did_and_enables(
    ltx: Command, outbox: Outbox, queued: Place, look: Look, file: Path, clock: Clock
) -> None:
    job_id, live = queued("a pond", "token|a"), queued("a lake")
    look.store.request_cancel("token|a", job_id, look.job(job_id).created_at)
    (claimed,) = outbox.claim("shop", look.job(job_id).created_at, 1)
    outbox.delivered(claimed, "HTTP 200")
    outbox.disable(read_webhooks(file, lambda name: "").outgoing["shop"], clock())
    since = ("webhooks", "replay", "--webhook", "shop", "--since", "2h")
    assert ltx(*since).stdout == "shop: 0 ends are told once more; it was disabled, and is enabled again.\n"
    assert ltx(*since, "--all").stdout == "shop: 1 end is told once more.\n"
    ever = ("webhooks", "replay", "--webhook", "shop", "--since", "999999d", "--all")
    assert ltx(*ever).stdout == "shop: 1 end is told once more.\n"
    outbox.delivered(claimed, "HTTP 200")
    assert json.loads(ltx("webhooks", "replay", job_id, "--json").stdout) == [
        {"webhook": "shop", "replayed": 1, "enabled": False}
    ]
    assert "is queued; webhooks are told of a job that has ended" in ltx("webhooks", "replay", live).stderr
    outbox.register({})
    assert ltx("webhooks", "replay", job_id).stdout == "No webhook is told of this job.\n"
    missing = ltx(*since)
    assert (missing.returncode, "There is no webhook 'shop'; none is registered." in missing.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "either JOB or --since"),
        (["job_a", "--since", "2h"], "either JOB or --since"),
        (["--since", "2h"], "needs --webhook"),
        (["job_a", "--all"], "--all needs --since"),
        (["--webhook", "shop", "--since", "2 weeks"], "30m, 2h or 1d"),
    ],
)
def test_a_replay_of_nothing_in_particular_is_refused(ltx: Command, arguments: list[str], word: str) -> None:
    ended = ltx("webhooks", "replay", *arguments)
    assert (ended.returncode, word in ended.stderr) == (2, True)


def test_a_service_whose_webhooks_file_cannot_be_used_does_not_start(ltx: Command, file: Path) -> None:
    file.write_text(hook_text("shop", "http://shop.example.com/", more=""), encoding="utf-8")
    ended = ltx("serve", "--http", "--port", "0", LTX_MCP_WEBHOOKS=str(file))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "[webhook.shop] url: should begin with https" in ended.stderr


def test_a_worker_that_finds_nothing_to_do_tells_what_is_due_before_it_ends(
    ltx: Command, outbox: Outbox, queued: Place, look: Look, file: Path
) -> None:
    with receiving() as receiver:
        file.write_text(hook_text("shop", receiver.url), encoding="utf-8")
        job_id = queued("a pond")
        look.store.request_cancel("local", job_id, look.job(job_id).created_at)
        ended = ltx("work", "--until-idle", LTX_MCP_WEBHOOKS=str(file), LTX_MCP_LOG_LEVEL="DEBUG")
        (told,) = receiver.told
    assert told.message["data"]["job_id"] == job_id
    assert (ended.returncode, f"webhook shop was told that {job_id} is cancelled" in ended.stderr) == (0, True)
    for secret in (SECRET, SECRET[8:], "nobodys", "/hooks"):
        assert secret not in ended.stderr


# -- doctor ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def doctor(home: Path) -> Doctor:
    def look(**more: str) -> dict[str, tuple[str, str]]:
        given = {f"LTX_MCP_{name}": text for name, text in more.items()}
        lines = check_webhooks(read_settings({"LTX_MCP_HOME": str(home), **given}))
        assert "nobodys" not in str(lines)
        assert SECRET not in str(lines)
        return {line.what: (line.status, line.found) for line in lines}

    return look


def test_doctor_says_nothing_where_there_are_no_webhooks(doctor: Doctor, home: Path) -> None:
    assert doctor() == {}
    Database.open(home).close()
    assert doctor() == {}


def test_doctor_says_whom_a_good_file_tells(doctor: Doctor, outbox: Outbox, file: Path) -> None:
    assert doctor(WEBHOOKS=str(file)) == {"webhooks": ("OK", "shop at shop.example.com")}


@posix
def test_doctor_says_that_a_file_is_open_to_others_and_that_one_cannot_be_used(
    doctor: Doctor, outbox: Outbox, file: Path
) -> None:
    file.chmod(0o644)
    assert doctor(WEBHOOKS=str(file))["webhooks file"][0] == "warning"
    file.write_text("[webhook.shop]", encoding="utf-8")
    status, found = doctor(WEBHOOKS=str(file))["webhooks file"]
    assert (status, "[webhook.shop] url" in found) == ("failure", True)


def test_doctor_says_where_file_and_database_differ(doctor: Doctor, outbox: Outbox, file: Path) -> None:
    assert doctor()["webhooks"] == ("warning", "registered are shop, and LTX_MCP_WEBHOOKS is not set here")
    file.write_text(hook_text("new", URL, more=""), encoding="utf-8")
    file.chmod(0o600)
    assert doctor(WEBHOOKS=str(file))["webhooks"] == ("warning", "in the file, but not registered yet: new")
    file.write_text("", encoding="utf-8")
    assert doctor(WEBHOOKS=str(file))["webhooks"] == ("warning", "registered, but not in this file: shop")


def test_doctor_says_what_is_disabled_and_what_has_waited_for_long(
    doctor: Doctor, outbox: Outbox, queued: Place, look: Look, file: Path, clock: Clock
) -> None:
    look.store.request_cancel("local", queued("a pond"), clock())  # which was days ago
    (claimed,) = outbox.claim("shop", clock(), 1)
    outbox.failed(claimed, "HTTP 503", clock())
    status, found = doctor(WEBHOOKS=str(file))["webhook shop"]
    assert status == "warning"
    assert found.startswith("1 delivery waits, the first for ")
    assert found.endswith("the last answer: HTTP 503")
    hook: Webhook = read_webhooks(file, lambda name: "").outgoing["shop"]
    outbox.disable(hook, clock())
    assert "disabled since" in doctor(WEBHOOKS=str(file))["webhook shop"][1]
