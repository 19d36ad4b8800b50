"""`ltx-mcp doctor` as a person or a program runs it, and what it finds of the settings, this machine and its hosts."""

import json
import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from ltx_mcp.cli.checks.finding import Finding
from ltx_mcp.cli.checks.hosts import check_hosts
from ltx_mcp.cli.checks.machine import check_machine, missing_scripts
from ltx_mcp.emulator.app import settings
from ltx_mcp.media.preview.fonts import font_folders
from tests.cli.conftest import COLOUR, CONTROL, Command, environment, posix
from tests.conftest import Emulated
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio


def found_by(ltx: Command, *arguments: str, **more: str) -> dict[str, dict[str, str]]:
    """The lines of --json, by what was looked at."""
    return {line["what"]: line for line in json.loads(ltx("doctor", "--json", *arguments, **more).stdout)}


# -- the whole ----------------------------------------------------------------------------------------------------


def test_a_machine_that_can_draw_is_content_and_exits_with_0(ltx: Command, home: Path) -> None:
    ended = ltx("doctor", HOME=str(home.parent))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"^OK +codecs: H.264 and AAC$", ended.stdout, re.MULTILINE)
    assert re.search(r"^OK +media process: decodes pictures", ended.stdout, re.MULTILINE)
    assert re.search(r"^(OK|warning) +confinement: the media process is kept from ", ended.stdout, re.MULTILINE)
    assert not home.exists()


def test_json_is_a_list_of_lines_of_which_those_that_are_not_ok_say_what_mends_them(ltx: Command) -> None:
    lines = json.loads(ltx("doctor", "--json").stdout)
    assert {tuple(line) for line in lines} == {("status", "what", "found", "mend")}
    assert {"OK"} < {line["status"] for line in lines} <= {"OK", "warning"}
    assert all(bool(line["mend"]) == (line["status"] != "OK") for line in lines)
    looked = {"settings", "budget", "confirmation", "clock", "home", "disk", "database", "fonts"}
    assert looked <= {line["what"] for line in lines}


def test_a_failure_is_exit_code_1_and_counted_at_the_end(ltx: Command, home: Path) -> None:
    home.write_text("a file where the home should be", encoding="utf-8")
    ended = ltx("doctor", LTX_MCP_HOME=str(home / "below"))
    assert ended.returncode == 1
    assert re.search(rf"^failure +home: {re.escape(str(home))}.*\n +-> .*LTX_MCP_HOME", ended.stdout, re.MULTILINE)
    assert re.search(r"^\d failures? ?", ended.stdout.splitlines()[-1])


def test_every_bad_setting_is_a_failure_of_its_own_and_the_rest_is_looked_at(ltx: Command, home: Path) -> None:
    bad = {"LTX_MCP_LOG_LEVEL": "loud", "LTX_MCP_HOEM": "x", "LTX_MCP_FAL_QUEUE_URL": "http://gateway.example"}
    bad |= {"LTX_MCP_MODELS": "missing.toml", "LTX_MCP_PROVIDERS": "sora", "LTX_MCP_LTX_API": "v9"}
    lines = json.loads(ltx("doctor", "--json", **bad, LTX_MCP_BUDGET_USD_PER_DAY="5").stdout)
    told = [line for line in lines if line["what"] == "settings"]
    assert {line["status"] for line in told} == {"failure"}
    assert len(told) == len(bad)
    for name in bad:
        assert sum(name in line["found"] + line["mend"] for line in told) >= 1, name
    assert any(line["mend"] == "Unset it; LTX_MCP_HOME may be meant." for line in told)
    assert next(line for line in lines if line["what"] == "budget")["found"] == "5.00 USD in a UTC day"
    assert {"codecs", "database"} <= {line["what"] for line in lines}
    assert not home.exists()


def test_a_paid_key_without_a_budget_is_a_tip_and_no_failure(ltx: Command) -> None:
    key = {"LTX_API_KEY": "k-1"}
    line = found_by(ltx, "--offline", **key)["budget"]
    assert (line["status"], "LTX_MCP_BUDGET_USD_PER_DAY" in line["mend"]) == ("warning", True)
    limits = {"LTX_MCP_BUDGET_USD_PER_DAY": "2.50", "LTX_MCP_CONFIRM_ABOVE_USD": "1"}
    lines = found_by(ltx, "--offline", **key, **limits)
    assert (lines["budget"]["status"], lines["budget"]["found"]) == ("OK", "2.50 USD in a UTC day")
    assert lines["confirmation"]["found"] == "a person is asked above 1.00 USD"


def test_known_keys_are_accepted_over_the_wire_and_nothing_is_ordered(ltx: Command, emulator: Emulated) -> None:
    lines = found_by(ltx, **settings(emulator[0]))
    assert {line["status"] for what, line in lines.items() if what.startswith("account at ")} == {"OK"}
    assert {call.step for call in emulator[1].calls} == {"poll", "prices"}
    assert emulator[1].orders == []


@pytest.mark.parametrize("how", ["refused", "malformed"])
def test_no_part_of_a_key_is_ever_printed(ltx: Command, emulator: Emulated, how: str) -> None:
    given = settings(emulator[0])
    keys = [name for name in given if name.endswith("_KEY")]
    for number, name in enumerate(keys):
        given[name] = f"zqx{number}zqx:zqw{number}zqw" if how == "refused" else f"Bearer 'zqx{number} zqw{number}'"
    for arguments in (["doctor"], ["doctor", "--json"]):
        ended = ltx(*arguments, **given)
        assert ended.returncode == 1
        assert "zq" not in ended.stdout + ended.stderr


def test_all_that_hangs_at_once_is_given_up_within_seconds(ltx: Command) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        given = settings(f"http://{place}") | {"LTX_MCP_DATABASE_URL": f"postgresql://u:p@{place}/d"}
        began = monotonic()
        lines = found_by(ltx, **given)
    assert monotonic() - began < HANG_S
    given_up = lines.get("database") or lines["state"]  # a busy machine gives up the whole part
    assert given_up["status"] != "OK"
    assert lines["address of ltx"]["found"] == f"{place} does not answer within 5 s"


def test_work_that_never_ends_keeps_neither_the_loop_nor_the_process() -> None:
    code = (
        "import socket, time, anyio\n"
        "from ltx_mcp.cli.checks.timeouts import patient_loop, within\n"
        "async def main():\n"
        "    patient_loop()\n"
        "    try:\n"
        "        await within(0.1, time.sleep, 600)\n"
        "    except TimeoutError:\n"
        "        print(await within(20, str.upper, 'given up'))\n"
        "    socket.getaddrinfo = lambda *given: time.sleep(600)\n"
        "    with anyio.move_on_after(0.1):\n"
        "        await anyio.getaddrinfo('hangs.example', 443)\n"
        "anyio.run(main)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("GIVEN UP\n", "", 0)


# -- how it is printed --------------------------------------------------------------------------------------------


def on_terminal(folder: Path, columns: int, **more: str) -> str:
    """What a terminal of this width is sent."""
    ours, theirs = os.openpty()
    given = {"TERM": "xterm-256color", "COLUMNS": str(columns), "HOME": str(folder), **more}
    command = [sys.executable, "-m", "ltx_mcp", "doctor", "--offline"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder / "home", **given), stdin=subprocess.DEVNULL, stdout=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # Linux says so where others give nothing
        process.wait(HANG_S)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


@posix
def test_a_terminal_of_80_columns_has_colour_and_no_line_that_is_too_long(tmp_path: Path) -> None:
    shown = on_terminal(tmp_path, 80, LTX_MCP_LOG_LEVEL="loud", LTX_MCP_HOEM="x", FAL_KEY="one-part", LTX_API_KEY="k")
    assert COLOUR.search(shown)
    bare = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert re.search(r"^failure  settings: LTX_MCP_LOG_LEVEL='loud'", bare, re.MULTILINE)
    long = [row for row in bare.splitlines() if len(row) > 80 and len(row.split()) > 4]
    assert long == []


@posix
def test_no_color_is_obeyed(tmp_path: Path) -> None:
    assert not COLOUR.search(on_terminal(tmp_path, 80, NO_COLOR="1"))


def test_in_a_pipe_there_is_neither_colour_nor_wrapping(ltx: Command) -> None:
    shown = ltx("doctor", "--offline", LTX_MCP_HOEM="x", COLUMNS="40").stdout
    assert not CONTROL.search(shown)
    assert re.search(r"^warning +fonts: |^OK +fonts: ", shown, re.MULTILINE)
    assert all(re.match(r"OK|–|warning|failure| {9}-> |[A-Z]|\d|ltx-mcp ", row) for row in shown.splitlines() if row)


def test_a_terminal_that_lacks_letters_is_no_failure(ltx: Command, tmp_path: Path) -> None:
    folder = tmp_path / "Möwe 海"
    folder.mkdir()
    ended = ltx("doctor", "--offline", PYTHONIOENCODING="ascii", LTX_MCP_INPUT_DIRS=str(folder))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "paths" in ended.stdout


# -- this machine -------------------------------------------------------------------------------------------------


async def machine(**given: Any) -> dict[str, Finding]:
    return {line.what: line for line in await check_machine(**given)}


async def test_a_media_process_without_memory_is_a_failure_that_says_how_to_mend_it() -> None:
    lines = await machine(memory_mib=40)
    assert (lines["media process"].status, lines["codecs"].status) == ("failure", "failure")
    assert "pip install" in lines["media process"].mend


async def test_a_folder_for_temporary_files_that_cannot_be_used_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    line = (await machine())["temporary files"]
    assert (line.status, "TMPDIR" in line.mend) == ("failure", True)


def test_scripts_that_no_font_has_are_named(tmp_path: Path) -> None:
    assert {"Chinese", "Japanese", "Korean"} <= set(missing_scripts([tmp_path]))
    found = find_spec("cvttf_NotoSansCJK_Regular")
    assert found is not None
    assert found.origin is not None
    assert not {"Latin", "Chinese", "Japanese"} & set(missing_scripts([Path(found.origin).parent, *font_folders()]))


# -- hosts --------------------------------------------------------------------------------------------------------


def write_cursor(home: Path, command: str, **more: Any) -> Path:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"command": command, "args": ["serve"], **more}
    path.write_text(json.dumps({"mcpServers": {"ltx": entry}}), encoding="utf-8")
    return path


def test_a_host_that_starts_us_is_named_with_its_file(tmp_path: Path) -> None:
    program = _program(tmp_path)
    path = write_cursor(tmp_path, str(program), env={"FAL_KEY": "${env:FAL_KEY}"})
    (line,) = check_hosts("Linux", tmp_path, {})
    assert (line.status, line.what, line.found) == ("OK", "host Cursor", f"{path} starts {program}")


def test_a_host_that_gives_us_no_key_is_a_warning(tmp_path: Path) -> None:
    program = _program(tmp_path)
    write_cursor(tmp_path, str(program))
    (line,) = check_hosts("Linux", tmp_path, {})
    assert (line.status, "with no key" in line.found) == ("warning", True)
    assert line.mend.startswith("Set FAL_KEY, ")
    assert line.mend.endswith("; then ltx-mcp install cursor")
    write_cursor(tmp_path, str(program), env={"LTX_MCP_PROVIDERS": "local"})
    assert [line.status for line in check_hosts("Linux", tmp_path, {})] == ["OK"]


def test_a_host_that_orders_at_an_emulator_is_a_warning(tmp_path: Path) -> None:
    env = {"FAL_KEY": "${env:FAL_KEY}", "LTX_MCP_FAL_QUEUE_URL": "http://127.0.0.1:8188"}
    write_cursor(tmp_path, str(_program(tmp_path)), env=env)
    (line,) = check_hosts("Linux", tmp_path, {})
    assert line.status == "warning"
    assert "LTX_MCP_FAL_QUEUE_URL=http://127.0.0.1:8188" in line.found
    assert "ltx-mcp uninstall cursor" in line.mend


def test_a_host_without_us_is_told_as_not_installed(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (line,) = check_hosts("Linux", tmp_path, {})
    assert (line.status, line.found) == ("–", "not installed; ltx-mcp install cursor does it")


def _program(folder: Path) -> Path:
    program = folder / "bin" / "ltx-mcp"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_a_host_whose_command_is_gone_is_a_failure_that_install_mends(tmp_path: Path) -> None:
    path = write_cursor(tmp_path, "/opt/gone/ltx-mcp")
    (line,) = check_hosts("Linux", tmp_path, {})
    assert (line.status, line.mend) == ("failure", "ltx-mcp install cursor")
    assert str(path) in line.found


def test_a_hosts_file_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    write_cursor(tmp_path, "x").write_text('{"mcpServers": ', encoding="utf-8")
    (line,) = check_hosts("Linux", tmp_path, {})
    assert line.status == "warning"


def test_what_a_host_keeps_secret_is_not_told(tmp_path: Path) -> None:
    write_cursor(tmp_path, "/opt/gone/ltx-mcp", env={"FAL_KEY": "zq-secret"})
    assert "zq-secret" not in str(check_hosts("Linux", tmp_path, {}))


def test_a_machine_without_hosts_says_so(tmp_path: Path) -> None:
    (line,) = check_hosts("Linux", tmp_path, {})
    assert line.status == "OK"
