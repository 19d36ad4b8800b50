"""Every command that README and docs show is run: in a home of its own, with the emulator for a provider.

What takes minutes or the network is run by `.ci/run` itself, or has its options checked against the program's own help.
"""

import json
import os
import re
import secrets
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import environment, posix
from tests.conversations.stage import Providers, emulated
from tests.media.films import Recipe, make
from tests.patience import HANG_S
from tests.shown import ROOT, Shown, examples, shown

CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
BY_CI = ("make check", "make test", "make test-all", "make conformance", "make hosts", "make wheel", "make bundle")
"""Too long for a test, and run each time: `.ci/run` names them."""
NOT_RUN = ("clean", "format", "lowest", "test-python")
"""These remove or rewrite what the tests run in, or make an environment of their own."""
SERVES = ("serve", "emulate", "work")
PUBLIC_URL, EVERYWHERE = "https://films.example.com", "0.0.0.0"
ALL = [*shown(), *examples()]


def of(*programs: str) -> list[Shown]:
    return [each for each in ALL if each.program in programs]


def test_there_is_a_test_here_for_every_program_that_is_shown() -> None:
    known = {"ltx-mcp", "make", "python", "pytest", "pip", "curl", "bash", "claude", "gemini", "docker", "eval", "uv"}
    assert {each.program for each in ALL} - known == set()
    assert len(of("ltx-mcp")) > 20


# -- ltx-mcp ------------------------------------------------------------------------------------------------------


class Shell:
    """A folder to type commands in, beside an emulator that has an order whose answer was lost."""

    def __init__(self, home: Path, providers: Providers) -> None:
        self.folder, self.providers = home / "work", providers
        self.folder.mkdir()
        theirs = dict.fromkeys(("HOME", "USERPROFILE"), str(home)) | {"XDG_CONFIG_HOME": str(home / ".config")}
        for name in (".claude", ".cursor", ".codex", ".gemini", ".config/Code", ".config/Claude"):
            (home / name).mkdir(parents=True)
        self.env = environment(home / "ltx", **providers.settings, **theirs)

    @cached_property
    def done(self) -> str:
        """A job with a film."""
        made = self.types("generate", "a kite", "--provider", "local", "--resolution", "720p")
        return Path(made.stdout.strip()).stem

    @cached_property
    def takes(self) -> str:
        """A set of films."""
        takes = ("--takes", "2", "--provider", "local", "--resolution", "720p", "--json")
        return str(json.loads(self.types("generate", "a kite", *takes).stdout)["job_id"])

    @cached_property
    def service(self) -> dict[str, str]:
        """What is set where a service runs, as its page has it."""
        file = self.folder / "tokens.toml"
        file.touch(0o600)
        named = {"TOKENS_FILE": str(file), "SIGNING_KEY": secrets.token_urlsafe(32), "PUBLIC_URL": PUBLIC_URL}
        return {f"LTX_MCP_{name}": value for name, value in named.items()}

    def env_of(self, each: Shown) -> dict[str, str]:
        """The environment in which a page speaks."""
        return self.env | (self.service if each.page == "service.md" else {})

    def types(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ltx_mcp", *words],
            cwd=self.folder,
            env=env or self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=HANG_S,
        )

    def lost(self) -> tuple[str, str]:
        """A job whose outcome is unknown, and the id of its order at fal."""
        self.providers.go_wrong("fal", "submit", "drop_after")
        ended = self.types("generate", f"lost {os.urandom(4).hex()}", "--provider", "fal")
        assert ended.returncode == 6, ended.stderr
        found = re.search(r"job_\w+", ended.stderr)
        assert found
        return found[0], self.providers.orders()[-1]["id"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("shell")
    with emulated(folder / "films") as providers:
        providers.finish()
        yield Shell(folder, providers)


CAPTIONS = "1\n00:00:01,000 --> 00:00:02,000\nDawn\n"
CODECS = {".mp3": "libmp3lame", ".m4a": "aac", ".wav": "pcm_s16le"}


def filled(each: Shown, shell: Shell) -> list[str]:
    """The command with what stands for something filled in, and the files it names made."""
    words = each.words[1:]
    if words[:2] in (["jobs", "resolve"], ["jobs", "adopt"]):
        job_id, remote_id = shell.lost()
        names = {"JOB": job_id, "PROVIDER": "fal", "REMOTE_ID": remote_id, "HOST": "cursor"}
    else:
        names = dict.fromkeys(("JOB", "SHOT", "FIRST", "SECOND"), shell.done) | {"HOST": "cursor"}
    if any(STANDS_IN.fullmatch(word) and word.startswith("SET") for word in words):
        names["SET"] = shell.takes
    return [
        _target(word, shell.folder) if before in WRITES else _placed(_named(word, names), shell.folder)
        for before, word in zip(["", *words], words, strict=False)
    ]


STANDS_IN = re.compile(r"([A-Z_]{3,})([#@/].*)?")
"""What stands for a job, a set, a part of one of them, or something else; `JOB#last`."""
WRITES = ("-o", "--to")


def _named(word: str, names: dict[str, str]) -> str:
    found = STANDS_IN.fullmatch(word)
    return f"{names.get(found[1], found[1])}{found[2] or ''}" if found else word


def _target(word: str, folder: Path) -> str:
    """What a command makes is not there yet."""
    path = Path(word)
    return word if word == "-" else str(folder / path.with_stem(f"{path.stem}-{os.urandom(4).hex()}"))


def _placed(word: str, folder: Path) -> str:
    """A medium that a command names lies in its folder."""
    kind = Path(word).suffix
    if kind == ".png":
        Image.new("RGB", (1280, 720), "teal").save(folder / word)
    elif kind == ".mp4":
        make(folder / word, Recipe(size=(960, 540), frames=150, seconds=6))
    elif kind == ".srt":
        (folder / word).write_text(CAPTIONS, encoding="utf-8")
    elif kind in CODECS:
        make(folder / word, Recipe(video=None, audio=CODECS[kind]))
    return word


ENDING = [each for each in of("ltx-mcp") if each.words[1] not in SERVES or "--until-idle" in each.words]
STAYING = [each for each in of("ltx-mcp") if each not in ENDING]


@pytest.mark.parametrize("each", ENDING, ids=lambda each: each.text)
def test_a_command_that_ends_does_so_with_success(each: Shown, shell: Shell) -> None:
    ended = shell.types(*filled(each, shell), env=shell.env_of(each))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout or "until-idle" in each.text


@posix
@pytest.mark.parametrize("each", STAYING, ids=lambda each: each.text)
def test_a_command_that_serves_says_so_and_ends_at_ctrl_c(each: Shown, shell: Shell) -> None:
    words = ["127.0.0.1" if word == EVERYWHERE else word for word in each.words[1:]]
    if "--http" in words or words[0] == "emulate":
        words += ["--port", "0"]
    command = [sys.executable, "-m", "ltx_mcp", *words]
    terminal, theirs = os.openpty()
    with subprocess.Popen(
        command, cwd=shell.folder, env=shell.env_of(each), stdin=theirs, stderr=theirs, stdout=theirs
    ) as process:
        os.close(theirs)
        try:
            told = b""
            while b"Ctrl-C" not in told:
                assert select.select([terminal], [], [], HANG_S)[0], told
                told += os.read(terminal, 65536)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_S) in (0, 130)
        finally:
            process.kill()
            os.close(terminal)


def test_the_emulators_synopsis_names_all_its_options(shell: Shell) -> None:
    (synopsis,) = (each.text for each in of("ltx-mcp") if "emulate [" in each.text)
    told = shell.types("emulate", "--help").stdout
    assert set(re.findall(r"--[\w-]+", synopsis)) == set(re.findall(r"--[\w-]+", told)) - {"--help"}


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    """An emulator whose faults, once told, meet nobody else's orders."""
    with emulated(tmp_path_factory.mktemp("apart")) as providers:
        yield providers


@pytest.mark.parametrize("each", of("curl"), ids=lambda each: each.text)
def test_a_control_address_answers(each: Shown, apart: Providers) -> None:
    client = apart.client
    words = each.words[1:]
    address = next(word for word in words if word.startswith("localhost:8100"))
    ended = subprocess.run(
        [
            "curl",
            "--fail",
            *(str(client.base_url).rstrip("/") + address[14:] if word == address else word for word in words),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
    )
    assert ended.returncode == 0, ended.stderr
    json.loads(ended.stdout)


# -- other programs -----------------------------------------------------------------------------------------------


def recipe(target: str) -> list[str]:
    """What `make` would run, without setting anything up."""
    command = ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/ready", "BIN=.", target]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", check=True)
    return ended.stdout.splitlines()


@pytest.mark.parametrize("each", of("make", "bash"), ids=lambda each: each.text)
def test_make_knows_the_target_and_ci_or_a_test_runs_it(each: Shown) -> None:
    if each.program == "bash":
        assert each.words[1] == ".ci/run"
        assert all(word in CI for word in each.words[2:])
        return
    if each.text in BY_CI:
        assert each.text in CI
        return
    lines = recipe(each.words[1])
    for line in lines if each.words[1] not in NOT_RUN else []:
        runs(shlex.split(line.replace("./python", "python")))


@pytest.mark.parametrize("each", of("python"), ids=lambda each: each.text)
def test_a_module_is_there_and_knows_the_options(each: Shown) -> None:
    runs(each.words)


DEMOS = ("bench.demo", "bench.demo_providers")


def runs(words: list[str]) -> None:
    """A demo is run whole; what takes minutes is asked whether it understands these words."""
    assert words[0] == "python", words
    if words[1] == "-m" and words[2] in DEMOS:
        with tempfile.TemporaryDirectory() as folder:
            ended = run(words[1:], Path(folder), PYTHONPATH=str(ROOT))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "video" in ended.stdout
        return
    options = [word for word in words if word.startswith("--")]
    if words[1] == "-m":
        told = run([*words[1:3], "--help"], ROOT).stdout if options else ""
        assert find_spec(words[2]) is not None
        assert all(option in told for option in options), told
    else:
        assert (ROOT / words[1]).is_file()


def run(words: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder / "home", **more)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S
    )


@pytest.mark.parametrize("each", of("pip"), ids=lambda each: each.text)
def test_what_pip_installs_is_declared(each: Shown) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    what = each.words[-1]
    extra = re.fullmatch(r"ltx-mcp\[(\w+)\]", what)
    declared = {re.split(r"[<>=\[]", each)[0] for each in project["optional-dependencies"]["heif"]}
    known = {".", "ltx-mcp", *declared, *(f".[{name}]" for name in project["optional-dependencies"])}
    assert extra[1] in project["optional-dependencies"] if extra else what in known, what


@pytest.mark.parametrize("each", of("pytest"), ids=lambda each: each.text)
def test_pytest_knows_the_option(each: Shown) -> None:
    assert all(word in run(["-m", "pytest", "--help"], ROOT).stdout for word in each.words[1:])


@posix
@pytest.mark.parametrize("each", of("eval"), ids=lambda each: each.text)
def test_a_line_for_a_shells_start_file_is_taken_by_that_shell(each: Shown, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "ltx-mcp").symlink_to(Path(sys.executable).with_name("ltx-mcp"))
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    command = ["bash", "-e", "-u", "-o", "pipefail", "-c", f"{each.text}; complete -p ltx-mcp"]
    ended = subprocess.run(
        command, env=shell.env | {"PATH": path}, capture_output=True, encoding="utf-8", timeout=HANG_S
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("complete ")


@pytest.mark.parametrize("each", of("claude", "gemini"), ids=lambda each: each.text)
def test_a_hosts_own_command_is_run_with_the_real_host(each: Shown) -> None:
    """`make hosts` runs `tests.hosts`, which needs npm. It runs each `claude mcp add` as it is shown, but for those to
    a service, which it starts itself."""
    run_there = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "hosts").glob("*.py"))
    assert ", ".join(f'"{word}"' for word in each.words[1:3]) in run_there


@pytest.mark.parametrize("each", of("uv"), ids=lambda each: each.text)
def test_what_uv_is_told_stands_in_the_bundle(each: Shown) -> None:
    """`tests.hosts` starts it so."""
    manifest = json.loads((ROOT / "manifests" / "mcpb" / "manifest.json").read_text(encoding="utf-8"))
    start = manifest["server"]["mcp_config"]
    words = {start["command"], *start["args"]}
    assert {*each.words} <= words or each.words[:3] == ["uv", "tool", "install"]


def test_the_image_that_is_built_is_the_one_that_is_checked() -> None:
    """There is no Docker where the tests run: what the line names is there, and hadolint reads it in `tests.hosts`."""
    for each in of("docker"):
        assert (ROOT / each.words[each.words.index("-f") + 1]).is_file()
