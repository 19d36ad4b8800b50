"""`install` and `uninstall` on homes of the three systems: what is written, what is kept, what is refused."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from ltx_mcp import __version__
from ltx_mcp.cli.hosts.config import BACKUP, read_config, replace_config
from ltx_mcp.cli.hosts.detect import DetectedHost, installed, is_ours, read_entry
from ltx_mcp.cli.hosts.edit_plan import make_install, make_uninstall, write
from ltx_mcp.cli.hosts.entry import EnvVars, Start, make_entry
from ltx_mcp.cli.hosts.jsonc import read_json
from ltx_mcp.cli.hosts.launcher import Running, is_fleeting, make_start, read_origin
from ltx_mcp.cli.hosts.paths import HOSTS, Machine, System, find_place
from ltx_mcp.domain.errors import CallerError, SetupError
from tests.cli.conftest import COLOUR, Command, Ended, command_in, environment, posix
from tests.cli.homes import COMMENTS, OTHERS, OTHERS_TOML, PLACES, SYSTEMS, Home, make_home, place_of, text_of, texts
from tests.cli.screens import ESCAPE, Screen
from tests.patience import HANG_S

START = Start("/opt/ltx/bin/ltx-mcp")
KEY = "sk-of-nobody-7731"
Homes = Callable[[System], Home]
every_host = pytest.mark.parametrize("host", HOSTS)
every_system = pytest.mark.parametrize("system", SYSTEMS)


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    return lambda system: make_home(tmp_path, system)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home that the commands of the `ltx` fixture run in."""
    return make_home(tmp_path, "linux")


@pytest.fixture
def ltx(tmp_path: Path) -> Command:
    """`ltx-mcp` with this folder as the user's home, and no variable of a host set."""
    run = command_in(tmp_path)
    strange = ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "FAL_KEY", "LTX_API_KEY")
    clean = {**dict.fromkeys((*strange, "LTXV_API_KEY", "NETWRCK_API_KEY"), ""), "HOME": str(tmp_path)}
    return lambda *arguments, **more: run(*arguments, **{**clean, "LTX_MCP_HOME": "", **more})


def entry_of(host: str, *names: str, **values: str) -> dict[str, Any]:
    return make_entry(HOSTS[host], START, EnvVars(names, values))


def install(home: Home, host: str, **how: Any) -> Path:
    """As the command does it, on any system."""
    change = make_install(HOSTS[host], find_place(HOSTS[host], home.machine), entry_of(host, "FAL_KEY"), **how)
    write(change, private=False)
    return change.config.path


def uninstall(home: Home, host: str) -> None:
    write(make_uninstall(HOSTS[host], find_place(HOSTS[host], home.machine)), private=False)


def values_in(host: str, path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return tomllib.loads(text) if HOSTS[host].is_toml else read_json(text)


def is_inserted(before: str, after: str) -> bool:
    """Whether one piece was put into a text, and nothing else was touched."""
    same = next((at for at, (one, two) in enumerate(zip(before, after, strict=False)) if one != two), len(before))
    return len(after) > len(before) and after.endswith(before[same:])


def stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(ended: Ended, code: int = 3) -> str:
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (code, "", 1)
    return ended.stderr


# -- the three systems --------------------------------------------------------------------------------------------


@every_system
@every_host
def test_a_fresh_home_gets_the_entry_where_the_host_reads_it(homes: Homes, system: System, host: str) -> None:
    home = homes(system)
    assert install(home, host) == home.file(host)
    assert values_in(host, home.file(host)) == {HOSTS[host].table: {"ltx": entry_of(host, "FAL_KEY")}}


@every_host
def test_uninstall_leaves_a_fresh_home_as_it_was(home: Home, host: str) -> None:
    install(home, host)
    uninstall(home, host)
    assert files_below(home.machine.home) == {}


@every_host
@pytest.mark.parametrize("kept", [OTHERS, COMMENTS], ids=["others", "comments"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_other_servers_and_comments_stay_character_by_character(home: Home, host: str, kept: str, newline: str) -> None:
    before = text_of(HOSTS[host], kept, OTHERS_TOML).replace("\n", newline)
    path = home.write(host, before)
    install(home, host)
    after = path.read_bytes().decode()
    assert is_inserted(before, after)
    assert after.count("\n") == after.count(newline)
    assert values_in(host, path)[HOSTS[host].table] == {
        "films": {"command": "npx", "args": ["-y", "films@1"], **({} if kept is COMMENTS else _token(host))},
        "ltx": entry_of(host, "FAL_KEY"),
    }
    uninstall(home, host)
    assert path.read_bytes().decode() == before


def _token(host: str) -> dict[str, Any]:
    return {} if HOSTS[host].is_toml else {"env": {"FILMS_TOKEN": "tok-of-another"}}


@every_host
def test_a_broken_file_is_refused_and_untouched(home: Home, host: str) -> None:
    for broken in ('{"TABLE": {"a": 1 "b": 2}}', '{"TABLE": ', "[1]", '{"TABLE": []}', "\xff"):
        toml = {'{"TABLE": []}': "mcp_servers = []", "[1]": "mcp_servers = 1"}.get(broken, broken)
        home.write(host, text_of(HOSTS[host], broken, toml).encode("latin-1"))
        before = files_below(home.machine.home)
        with pytest.raises(SetupError) as refusal:
            install(home, host)
        assert str(home.file(host)) in refusal.value.message, broken
        assert files_below(home.machine.home) == before, broken


@every_host
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_file_or_folder_is_named_and_nothing_changes(home: Home, host: str, what: str) -> None:
    path = home.write(host, text_of(HOSTS[host], OTHERS, OTHERS_TOML))
    closed = path if what == "file" else path.parent
    before, mode = files_below(home.machine.home), closed.stat().st_mode
    if what == "folder" and sys.platform == "win32":
        pytest.skip("a folder's mode forbids nothing there")
    closed.chmod(mode & ~0o222)
    try:
        with pytest.raises(SetupError, match="read-only") as refusal:
            install(home, host)
    finally:
        closed.chmod(mode)
    assert str(closed) in refusal.value.message
    assert files_below(home.machine.home) == before


@every_system
@every_host
def test_a_host_that_is_not_installed_is_refused(tmp_path: Path, system: System, host: str) -> None:
    machine = Machine(system, tmp_path, {}, tmp_path)
    with pytest.raises(SetupError, match="not installed here"):
        find_place(HOSTS[host], machine)
    assert find_place(HOSTS[host], machine, absent=True) == tmp_path / place_of(system, host)


@every_host
def test_repeating_changes_nothing(home: Home, ltx: Command, host: str) -> None:
    home.write(host, text_of(HOSTS[host], COMMENTS, OTHERS_TOML))
    ltx("install", host)
    before = stamp(home.file(host))
    again = ltx("install", host)
    assert (again.returncode, again.stdout) == (0, f"Already so: {home.file(host)} has this server.\n")
    assert stamp(home.file(host)) == before


# -- where --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "host", "variable", "below"),
    [
        ("linux", "claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("linux", "codex", "CODEX_HOME", "config.toml"),
        ("linux", "gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("linux", "vscode", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
        ("windows", "claude-desktop", "APPDATA", "Claude/claude_desktop_config.json"),
    ],
)
def test_the_variables_that_move_a_host_are_obeyed(
    tmp_path: Path, system: System, host: str, variable: str, below: str
) -> None:
    moved = tmp_path / "moved"
    home = make_home(tmp_path, system, **{variable: str(moved)})
    (moved / below).parent.mkdir(parents=True)
    assert install(home, host) == moved / below


def test_a_relative_one_of_them_is_passed_over(tmp_path: Path) -> None:
    home = make_home(tmp_path, "linux", XDG_CONFIG_HOME="config")
    assert install(home, "vscode") == home.file("vscode")


def test_claude_code_is_there_by_its_file_alone(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text("{}", encoding="utf-8")
    assert find_place(HOSTS["claude-code"], Machine("linux", tmp_path, {}, tmp_path)) == tmp_path / ".claude.json"


def test_claude_desktop_as_a_windows_package_is_found_in_its_own_folder(tmp_path: Path) -> None:
    home = make_home(tmp_path, "windows")
    packaged = tmp_path / "AppData/Local/Packages/Claude_pzs8/LocalCache/Roaming/Claude"
    packaged.mkdir(parents=True)
    assert install(home, "claude-desktop") == packaged / "claude_desktop_config.json"


RELATIVES = [".config/Code - Insiders", ".config/VSCodium", ".var/app/com.visualstudio.code/config/Code"]


@pytest.mark.parametrize("relative", RELATIVES)
def test_a_relative_of_vs_code_is_named_but_not_written_to(home: Home, relative: str) -> None:
    home.file("vscode").parent.rmdir()
    home.file("vscode").parent.parent.rmdir()
    (home.machine.home / relative).mkdir(parents=True)
    with pytest.raises(SetupError) as refusal:
        find_place(HOSTS["vscode"], home.machine)
    assert str(home.machine.home / relative / "User" / "mcp.json") in refusal.value.message


def test_inside_wsl_it_is_told_that_programs_of_windows_read_elsewhere(tmp_path: Path) -> None:
    machine = Machine("linux", tmp_path, {"WSL_DISTRO_NAME": "Debian"}, tmp_path)
    with pytest.raises(SetupError, match="on Windows"):
        find_place(HOSTS["cursor"], machine)


@pytest.mark.parametrize("host", [host.name for host in HOSTS.values() if host.project])
def test_the_scope_project_writes_into_the_working_directory(home: Home, ltx: Command, host: str) -> None:
    assert ltx("install", host, "--scope", "project").returncode == 0
    path = home.machine.home / HOSTS[host].project
    assert is_ours(read_entry(HOSTS[host], path.read_text(encoding="utf-8")))
    assert ltx("uninstall", host, "--scope", "project").returncode == 0
    assert not path.exists()


def test_a_configuration_can_be_named(ltx: Command, tmp_path: Path) -> None:
    assert ltx("install", "cursor", "--config", "mine.json").returncode == 0
    assert is_ours(read_entry(HOSTS["cursor"], (tmp_path / "mine.json").read_text(encoding="utf-8")))
    assert "does not exist" in refused(ltx("install", "cursor", "--config", "nowhere/mine.json"))


def test_an_absent_host_is_written_with_force_alone(ltx: Command, tmp_path: Path) -> None:
    assert "--force" in refused(ltx("install", "cursor"))
    assert ltx("install", "cursor", "--force").returncode == 0
    assert (tmp_path / ".cursor/mcp.json").exists()


# -- what is told -------------------------------------------------------------------------------------------------


def test_the_change_is_shown_without_other_servers(home: Home, ltx: Command) -> None:
    path = home.write("cursor", texts(OTHERS, OTHERS_TOML)["cursor"])
    shown = ltx("install", "cursor", FAL_KEY=KEY)
    lines = shown.stdout.splitlines()
    assert lines[:4] == [f"Cursor reads {path}", f"--- {path}", f"+++ {path}", "@@ mcpServers @@"]
    assert '+      "FAL_KEY": "${env:FAL_KEY}"' in lines
    assert lines[-3:] == [
        f"Written. As it was before: {path}{BACKUP}",
        "Then restart Cursor.",
        "FAL_KEY has to be set where Cursor starts.",
    ]
    assert "films" not in shown.stdout
    assert "\x1b" not in shown.stdout


def test_a_dry_run_shows_the_same_and_writes_nothing(home: Home, ltx: Command) -> None:
    home.write("vscode", texts(COMMENTS, "")["vscode"])
    before = files_below(home.machine.home)
    dry = ltx("install", "vscode", "--dry-run")
    assert files_below(home.machine.home) == before
    assert dry.stdout.endswith("Nothing was written.\n")
    assert dry.stdout.splitlines()[:8] == ltx("install", "vscode").stdout.splitlines()[:8]


@posix
@pytest.mark.parametrize(("wish", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_gets_colours_unless_it_wants_none(
    home: Home, tmp_path: Path, wish: dict[str, str], coloured: bool
) -> None:
    import pty

    parent, child = pty.openpty()
    given = {"HOME": str(tmp_path), "TERM": "xterm", "NO_COLOR": "", **wish}
    command = [sys.executable, "-m", "ltx_mcp", "install", "cursor"]
    with subprocess.Popen(command, stdout=child, env=environment(tmp_path, **given)) as process:
        os.close(child)
        shown = b""
        with suppress(OSError):  # Linux ends a terminal's last words with an error
            while piece := os.read(parent, 4096):
                shown += piece
        assert process.wait(HANG_S) == 0
    os.close(parent)
    assert bool(COLOUR.search(shown.decode())) is coloured


def test_json_tells_scripts_what_was_done(home: Home, ltx: Command) -> None:
    home.write("gemini", "{}")
    told = json.loads(ltx("install", "gemini", "--json", LTX_API_KEY=KEY).stdout)
    path = str(home.file("gemini"))
    assert (told["host"], told["path"], told["changed"], told["written"]) == ("gemini", path, True, True)
    assert told["backup"] == path + BACKUP
    again = json.loads(ltx("install", "gemini", "--json", LTX_API_KEY=KEY).stdout)
    assert (again["changed"], again["written"], again["diff"]) == (False, False, [])


def test_print_shows_the_entry_alone_on_stdout_and_writes_nothing(ltx: Command, home: Home) -> None:
    shown = ltx("install", "print", FAL_KEY=KEY)
    entry = json.loads(shown.stdout)["mcpServers"]["ltx"]
    assert is_ours(entry)
    assert entry["env"] == {"FAL_KEY": "${FAL_KEY}"}
    assert files_below(home.machine.home) == {}


# -- keys and settings --------------------------------------------------------------------------------------------

BY_NAME: dict[str, dict[str, Any]] = {
    "claude-code": {"env": {"FAL_KEY": "${FAL_KEY:-}"}},
    "cursor": {"env": {"FAL_KEY": "${env:FAL_KEY}"}},
    "vscode": {"env": {"FAL_KEY": "${env:FAL_KEY}"}},
    "gemini": {"env": {"FAL_KEY": "$FAL_KEY"}},
    "codex": {"env_vars": ["FAL_KEY"]},
}


@pytest.mark.parametrize("host", BY_NAME)
def test_a_key_that_is_set_goes_in_by_the_name_of_its_variable(home: Home, ltx: Command, host: str) -> None:
    ended = ltx("install", host, FAL_KEY=KEY)
    entry = values_in(host, home.file(host))[HOSTS[host].table]["ltx"]
    assert {name: entry.get(name) for name in BY_NAME[host]} == BY_NAME[host]
    assert KEY not in home.file(host).read_text(encoding="utf-8") + ended.stdout + ended.stderr


def test_codex_waits_for_the_server_unless_a_person_decided_otherwise(home: Home, ltx: Command) -> None:
    ltx("install", "codex")
    path = home.file("codex")
    entry = values_in("codex", path)["mcp_servers"]["ltx"]
    assert entry["required"] is True
    path.write_text(path.read_text(encoding="utf-8").replace("required = true", "required = false"), encoding="utf-8")
    ltx("install", "codex", FAL_KEY=KEY)
    entry = values_in("codex", path)["mcp_servers"]["ltx"]
    assert (entry["required"], entry["env_vars"]) == (False, ["FAL_KEY"])


def test_a_key_can_be_named_before_it_is_set(home: Home, ltx: Command) -> None:
    ltx("install", "cursor", "--key", "LTX_API_KEY")
    assert values_in("cursor", home.file("cursor"))["mcpServers"]["ltx"]["env"] == {"LTX_API_KEY": "${env:LTX_API_KEY}"}


def test_an_unknown_key_is_a_usage_error_that_names_the_known_ones(home: Home, ltx: Command) -> None:
    told = refused(ltx("install", "cursor", "--key", "AWS_SECRET"), 2)
    assert "AWS_SECRET" in told
    assert "FAL_KEY, LTX_API_KEY" in told


@every_host
def test_values_are_written_when_asked_for_but_never_shown(home: Home, ltx: Command, host: str) -> None:
    home.write(host, "")
    ended = ltx("install", host, "--with-values", FAL_KEY=KEY)
    assert values_in(host, home.file(host))[HOSTS[host].table]["ltx"]["env"] == {"FAL_KEY": KEY}
    assert "readable" in ended.stderr
    assert "••••" in ended.stdout
    assert KEY not in ended.stdout + ended.stderr
    gone = ltx("uninstall", host)
    assert KEY not in gone.stdout + gone.stderr
    assert not any(KEY.encode() in data for data in files_below(home.machine.home).values())


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_file_with_keys_is_for_its_owner_and_any_other_keeps_its_mode(home: Home, ltx: Command) -> None:
    path = home.write("cursor", "{}")
    path.chmod(0o664)
    ltx("install", "cursor", FAL_KEY=KEY)
    assert path.stat().st_mode & 0o777 == 0o664
    ltx("install", "cursor", "--with-values", FAL_KEY=KEY)
    assert path.stat().st_mode & 0o777 == 0o600


def test_by_name_again_takes_a_written_key_out(home: Home, ltx: Command) -> None:
    for host in ("cursor", "codex"):
        ltx("install", host, "--with-values", FAL_KEY=KEY)
        ltx("install", host, FAL_KEY=KEY)
        assert KEY not in home.file(host).read_text(encoding="utf-8"), host


def test_claude_desktop_is_told_that_it_gets_no_key(home: Home, ltx: Command) -> None:
    ended = ltx("install", "claude-desktop", FAL_KEY=KEY)
    assert ended.returncode == 0
    assert "env" not in values_in("claude-desktop", home.file("claude-desktop"))["mcpServers"]["ltx"]
    assert "FAL_KEY is left out" in ended.stdout
    assert ".mcpb" in ended.stdout


def test_claude_desktop_that_has_a_key_is_not_told_that_it_gets_none(home: Home, ltx: Command) -> None:
    ltx("install", "claude-desktop", "--with-values", FAL_KEY=KEY)
    again = ltx("install", "claude-desktop", FAL_KEY=KEY, LTX_MCP_PROVIDERS="fal")
    assert "left out" not in again.stdout
    assert values_in("claude-desktop", home.file("claude-desktop"))["mcpServers"]["ltx"]["env"]["FAL_KEY"] == KEY


def test_settings_that_are_set_now_are_handed_on_and_shown(home: Home, ltx: Command, tmp_path: Path) -> None:
    given = {
        "LTX_MCP_BUDGET_USD_PER_DAY": "5",
        "LTX_MCP_HOME": "films",
        "LTX_MCP_DATABASE_URL": f"postgres://u:{KEY}@h/d",
    }
    ended = ltx("install", "cursor", **given)
    assert values_in("cursor", home.file("cursor"))["mcpServers"]["ltx"]["env"] == {
        "LTX_MCP_BUDGET_USD_PER_DAY": "5",
        "LTX_MCP_HOME": str(tmp_path / "films"),
        "LTX_MCP_DATABASE_URL": "${env:LTX_MCP_DATABASE_URL}",
    }
    assert '"LTX_MCP_BUDGET_USD_PER_DAY": "5"' in ended.stdout
    assert KEY not in ended.stdout + ended.stderr


NEAR: dict[str, Any] = {"LTX_MCP_FAL_QUEUE_URL": "http://127.0.0.1:8188", "LTX_MCP_LTX_URL": "http://localhost:8188"}


@pytest.mark.parametrize(
    ("host", "address"),
    [("cursor", "http://127.0.0.1:8188"), ("codex", "http://localhost:1"), ("gemini", "http://[::1]:8188/fal")],
)
def test_an_emulators_address_is_left_out_and_said_so(home: Home, ltx: Command, host: str, address: str) -> None:
    ended = ltx("install", host, LTX_MCP_FAL_QUEUE_URL=address, LTX_MCP_CONFIRM_ABOVE_USD="1")
    assert ended.returncode == 0, ended.stderr
    assert address not in home.file(host).read_text("utf-8")
    assert "LTX_MCP_CONFIRM_ABOVE_USD" in home.file(host).read_text("utf-8")
    assert "LTX_MCP_FAL_QUEUE_URL leads to this machine" in ended.stdout
    ltx("install", host, "--loopback", LTX_MCP_FAL_QUEUE_URL=address)
    assert address in home.file(host).read_text("utf-8")
    ltx("install", host, LTX_MCP_FAL_QUEUE_URL=address)
    assert address not in home.file(host).read_text("utf-8")


def test_an_address_elsewhere_is_handed_on(home: Home, ltx: Command) -> None:
    ltx("install", "cursor", LTX_MCP_LTX_URL="https://ltx.example.com")
    assert "https://ltx.example.com" in home.file("cursor").read_text("utf-8")


@posix
@pytest.mark.parametrize(
    ("keys", "written", "near"),
    [("n\nn\n", False, False), ("n\ny\n", True, False), ("y\ny\n", True, True), ("\x04\x04", False, False)],
)
def test_at_a_terminal_a_person_is_asked_before_anything_is_written(
    home: Home, tmp_path: Path, keys: str, written: bool, near: bool
) -> None:
    screen = Screen(tmp_path / "home", "install", "cursor", cwd=tmp_path, HOME=str(tmp_path), **NEAR)
    for n, key in enumerate(keys.replace("\n", "")):
        screen.until(lambda shown, n=n: ESCAPE.sub("", shown).count("[y/N]") > n)  # type: ignore[misc]
        screen.type(key if key == "\x04" else f"{key}\n")
        if key == "\x04":
            break
    screen.end()
    assert home.file("cursor").exists() is written
    text = home.file("cursor").read_text("utf-8") if written else ""
    assert ("LTX_MCP_LTX_URL" in text) is near
    assert "--dry-run" in screen.text or not written
    screen.close()


@pytest.mark.parametrize("arguments", [["cursor", "--scope", "project"], ["print"]])
def test_no_key_is_written_where_others_read(home: Home, ltx: Command, arguments: list[str]) -> None:
    told = refused(ltx("install", *arguments, "--with-values", FAL_KEY=KEY), 2)
    assert KEY not in told
    assert files_below(home.machine.home) == {}


def test_a_value_that_is_not_set_cannot_be_written(home: Home, ltx: Command) -> None:
    assert "FAL_KEY is not set" in refused(ltx("install", "cursor", "--with-values", "--key", "FAL_KEY"))


def test_a_value_that_the_host_would_expand_is_refused(home: Home) -> None:
    with pytest.raises(CallerError, match="FAL_KEY"):
        entry_of("gemini", FAL_KEY="a$b")
    assert entry_of("claude-desktop", FAL_KEY="a$b")["env"] == {"FAL_KEY": "a$b"}


# -- what is ours, and what is not --------------------------------------------------------------------------------


@every_host
def test_another_server_of_our_name_needs_force_and_is_kept_in_the_backup(home: Home, ltx: Command, host: str) -> None:
    theirs = text_of(HOSTS[host], '{"TABLE": {"ltx": {"command": "ltxd", "args": ["t0ken"]}}}', TAKEN)
    path = home.write(host, theirs)
    assert "ltxd" in refused(ltx("install", host))
    assert "ltxd" in refused(ltx("uninstall", host))
    assert path.read_text(encoding="utf-8") == theirs
    forced = ltx("install", host, "--force")
    assert is_ours(read_entry(HOSTS[host], path.read_text(encoding="utf-8")))
    assert path.with_name(path.name + BACKUP).read_text(encoding="utf-8") == theirs
    assert "t0ken" not in forced.stdout


TAKEN = '[mcp_servers.ltx]\ncommand = "ltxd"\nargs = ["t0ken"]\n'


@every_host
def test_what_a_person_added_to_our_entry_stays(home: Home, ltx: Command, host: str) -> None:
    ours = {"command": "/old/bin/ltx-mcp", "args": [], "env": {"HTTPS_PROXY": "http://p"}, "timeout": 90}
    toml = '[mcp_servers.ltx]\ncommand = "/old/bin/ltx-mcp" # mine\nargs = []\ntimeout = 90\n\n[mcp_servers.ltx.env]\n'
    json_text = '{"TABLE": {"ltx": ' + json.dumps(ours, indent=1).replace("90", "90 /* mine */") + "}}"
    text = text_of(HOSTS[host], json_text, toml + 'HTTPS_PROXY = "http://p" # mine too\n')
    path = home.write(host, text)
    assert ltx("install", host, LTX_MCP_PROVIDERS="local").returncode == 0
    entry = values_in(host, path)[HOSTS[host].table]["ltx"]
    assert (entry["timeout"], entry["env"]) == (90, {"HTTPS_PROXY": "http://p", "LTX_MCP_PROVIDERS": "local"})
    assert entry["command"] != "/old/bin/ltx-mcp"
    assert path.read_text(encoding="utf-8").count("mine") == text.count("mine")
    assert ltx("install", host).stdout.startswith("Already so")


def test_the_oldest_original_is_never_overwritten(home: Home, ltx: Command) -> None:
    path = home.write("cursor", '{"first": 1}')
    ltx("install", "cursor")
    path.write_text('{"second": 2}', encoding="utf-8")
    ltx("install", "cursor")
    kept = sorted(each.read_text(encoding="utf-8") for each in path.parent.glob(f"*{BACKUP}*"))
    assert kept == ['{"first": 1}', '{"second": 2}']


def test_uninstall_where_nothing_is_says_so(home: Home, ltx: Command) -> None:
    home.write("cursor", OTHERS)
    home.file("codex").parent.rmdir()
    before = files_below(home.machine.home)
    for host in ("cursor", "vscode", "codex"):
        ended = ltx("uninstall", host)
        assert (ended.returncode, ended.stdout.startswith("Already so: ")) == (0, True)
    assert files_below(home.machine.home) == before


@every_host
def test_a_table_of_servers_that_was_already_empty_stays(home: Home, host: str) -> None:
    before = "[mcp_servers]\n" if HOSTS[host].is_toml else f'{{"{HOSTS[host].table}": {{}}}}'
    path = home.write(host, before)
    install(home, host)
    uninstall(home, host)
    assert path.read_text(encoding="utf-8") == before


def test_a_file_that_install_made_is_not_backed_up(home: Home, ltx: Command) -> None:
    ltx("install", "cursor", FAL_KEY=KEY)
    ltx("install", "cursor", "--with-values", FAL_KEY=KEY)
    ltx("install", "cursor", FAL_KEY=KEY)
    assert [*files_below(home.machine.home)] == [".cursor/mcp.json"]


def test_what_uninstall_gives_back_whole_needs_no_backup(home: Home, ltx: Command) -> None:
    path = home.write("cursor", OTHERS)
    ltx("install", "cursor")
    assert path.with_name(path.name + BACKUP).read_text(encoding="utf-8") == OTHERS
    ltx("uninstall", "cursor")
    assert files_below(home.machine.home) == {".cursor/mcp.json": OTHERS.encode()}


def test_uninstall_keeps_what_was_written_since(home: Home, ltx: Command) -> None:
    path = home.write("claude-code", '{"a": 1}')
    ltx("install", "claude-code")
    path.write_text(path.read_text(encoding="utf-8").replace('"a": 1', '"a": 2'), encoding="utf-8")
    assert ltx("uninstall", "claude-code").returncode == 0
    assert path.read_text(encoding="utf-8") == '{"a": 2}'


def test_uninstall_needs_no_settings(home: Home, ltx: Command) -> None:
    ltx("install", "cursor")
    assert "LTX_MCP_NONSENSE" in refused(ltx("install", "cursor", LTX_MCP_NONSENSE="1"))
    assert ltx("uninstall", "cursor", LTX_MCP_NONSENSE="1").returncode == 0


# -- what is started ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_what_is_written_starts_the_server(home: Home, ltx: Command, tmp_path: Path) -> None:
    ltx("install", "claude-code", "--force", LTX_MCP_HOME="films", FAL_KEY=KEY)
    entry = values_in("claude-code", home.file("claude-code"))["mcpServers"]["ltx"]
    env = {name: value.replace("${FAL_KEY:-}", "") for name, value in entry["env"].items()}
    started = StdioServerParameters(command=entry["command"], args=entry["args"], env=env, cwd="/")
    with anyio.fail_after(HANG_S):
        async with Client(started) as client:
            tools = await client.list_tools()
    assert "generate_video" in {tool.name for tool in tools.tools}


def running(prefix: Path, *, script: bool = True, uvx: str = "/usr/local/bin/uvx", origin: str = "") -> Running:
    programs = prefix / "bin"
    return Running(prefix, programs / "python", programs / "ltx-mcp" if script else None, uvx, origin)


def test_an_environment_that_stays_is_started_by_its_console_script(tmp_path: Path) -> None:
    assert make_start(running(tmp_path)) == Start(str(tmp_path / "bin" / "ltx-mcp"))
    module = make_start(running(tmp_path, script=False))
    assert module == Start(str(tmp_path / "bin" / "python"), ("-P", "-m", "ltx_mcp"))


def test_an_environment_in_a_cache_is_started_by_uvx_in_this_version(tmp_path: Path) -> None:
    (tmp_path / "CACHEDIR.TAG").touch()
    prefix = tmp_path / "archive-v0" / "x"
    released = make_start(running(prefix), is_name_ours=True)
    assert released == Start("/usr/local/bin/uvx", (f"ltx-mcp=={__version__}",))
    with pytest.raises(SetupError, match="no release of ours yet"):
        make_start(running(prefix), is_name_ours=False)
    wheel = "file:///films/ltx_mcp.whl"
    assert make_start(running(prefix, origin=wheel)).arguments == ("--from", wheel, "ltx-mcp")
    with pytest.raises(SetupError, match="uvx is not found"):
        make_start(running(prefix, uvx=""))


def test_uv_itself_marks_an_environment_that_stays(tmp_path: Path) -> None:
    (tmp_path / "CACHEDIR.TAG").touch()
    assert not is_fleeting(tmp_path)


@pytest.mark.parametrize(
    ("told", "origin"),
    [
        ({"url": "file:///a.whl", "archive_info": {}}, "file:///a.whl"),
        ({"url": "https://h/r", "vcs_info": {"vcs": "git", "commit_id": "c0"}}, "git+https://h/r@c0"),
        ({"url": "https://user:secret@h/r"}, ""),
    ],
)
def test_where_it_was_installed_from_is_kept_without_a_password(told: dict[str, Any], origin: str) -> None:
    assert read_origin(told) == origin


@pytest.mark.parametrize(
    ("entry", "ours"),
    [
        ({"command": "C:\\Tools\\ltx-mcp.exe"}, True),
        ({"command": "/usr/bin/uvx", "args": ["ltx-mcp==0.1.0"]}, True),
        ({"command": "uvx", "args": ["--from", "ltx-mcp[heif]", "ltx-mcp"]}, True),
        ({"command": "python3", "args": ["-m", "ltx_mcp"]}, True),
        ({"command": "python3", "args": ["-P", "-m", "ltx_mcp", "serve"]}, True),
        ({"command": "python3", "args": ["-P", "-m", "ltx_mcp_other"]}, False),
        ({"command": "uvx", "args": ["ltx-mcp-other"]}, False),
        ({"command": "/opt/ltx-mcp/bin/other"}, False),
        ({"command": "npx", "args": ["ltx-mcp"]}, False),
        ({"url": "https://ltx-mcp"}, False),
        (None, False),
    ],
)
def test_an_entry_is_ours_by_what_it_starts(entry: Any, ours: bool) -> None:
    assert is_ours(entry) is ours


def test_another_command_can_be_given(home: Home, ltx: Command, tmp_path: Path) -> None:
    program = tmp_path / "films.sh"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    ltx("install", "cursor", "--command", str(program))
    assert values_in("cursor", home.file("cursor"))["mcpServers"]["ltx"]["command"] == str(program)
    assert "nowhere" in refused(ltx("install", "cursor", "--command", "nowhere"), 2)


# -- the file -----------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_stays(home: Home, ltx: Command) -> None:
    before = b"\xef\xbb\xbf" + OTHERS.replace("TABLE", "mcpServers").encode()
    path = home.write("claude-desktop", before)
    ltx("install", "claude-desktop")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf{")
    assert read_json(path.read_text(encoding="utf-8-sig"), ("mcpServers", "ltx"))
    ltx("uninstall", "claude-desktop")
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_a_link_and_its_target_is_changed(home: Home, ltx: Command, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "cursor.json"
    target.parent.mkdir()
    target.write_text("{}", encoding="utf-8")
    home.file("cursor").symlink_to(target)
    ltx("install", "cursor")
    assert home.file("cursor").is_symlink()
    assert is_ours(read_entry(HOSTS["cursor"], target.read_text(encoding="utf-8")))


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(b"{}")
    config = read_config(path)
    path.write_bytes(b'{"by": "another"}')
    with pytest.raises(SetupError, match="meanwhile"):
        replace_config(config, b"ours", backup=config.backup)
    assert files_below(tmp_path) == {"mcp.json": b'{"by": "another"}'}


def test_line_and_column_of_what_is_broken_are_told(home: Home, ltx: Command) -> None:
    home.write("cursor", '{\r\n  // ü\r\n  "a": 1\r\n  "b": 2\r\n}')
    home.write("codex", 'model = "x"\nname = \n')
    assert "line 4, column 3" in refused(ltx("install", "cursor"))
    assert "line 2, column 8" in refused(ltx("install", "codex"))


# -- what the doctor asks -----------------------------------------------------------------------------------------


@every_system
def test_the_hosts_that_name_us_are_found(homes: Homes, system: System, tmp_path: Path) -> None:
    home = homes(system)
    install(home, "cursor")
    program = tmp_path / "bin" / "ltx-mcp"
    program.parent.mkdir()
    program.touch(mode=0o755)
    home.write("gemini", json.dumps({"mcpServers": {"ltx": {"command": str(program)}}}))
    home.write("codex", "= 1")
    home.write("vscode", '{"servers": {"ltx": {"command": "other"}}}')
    found = {each.host: each for each in installed(system, tmp_path, {})}
    assert {name: each.state for name, each in found.items()} == {
        "claude-desktop": "absent",
        "claude-code": "absent",
        "cursor": "command missing",
        "vscode": "not ours",
        "codex": "broken",
        "gemini": "installed",
    }
    assert found["cursor"] == DetectedHost("cursor", home.file("cursor"), "command missing", START.command)
    assert "line 1" in found["codex"].detail


def test_a_home_without_hosts_names_none(tmp_path: Path) -> None:
    assert [installed(system, tmp_path, {}) for system in PLACES] == [[], [], []]
