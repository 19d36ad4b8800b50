"""A host starts the server in a folder that somebody else filled: none of its code runs, and the film arrives.

Real processes. Every planted file leaves a mark and ends the process that imports it.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp import launch
from ltx_mcp.cli.hosts.entry import MODULE
from ltx_mcp.domain.job import State
from ltx_mcp.emulator.app import make_state, running, settings
from ltx_mcp.media.client import MediaClient
from manifests.facts import read_facts
from manifests.registries import bundle_manifest, dockerfile
from tests.conftest import Emulated
from tests.jobs.test_processes import SMALL, Look, Server, environment, processes_of, wait_for

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("started_media"),
    pytest.mark.skipif(os.name == "nt", reason="POSIX processes"),
]

OURS = ("ltx_mcp", "ltx_mcp/__init__", "ltx_mcp/__main__")
LIBRARY = (
    "random", "json", "ssl", "asyncio", "sqlite3", "subprocess", "tempfile", "hashlib", "logging", "dataclasses",
    "decimal", "socket", "shutil", "platform", "runpy", "sitecustomize", "usercustomize",
)  # fmt: skip
NEEDED = ("anyio", "mcp", "httpx", "sqlalchemy", "pydantic", "click", "filelock", "platformdirs", "PIL", "av", "numpy")
SCRIPT = str(Path(sysconfig.get_path("scripts"), "ltx-mcp"))
PYTHON = [sys.executable, *MODULE]
OVERLAY = 'name = "fal"\nslots = 1\n'
SAVED_S = 120.0

Plant = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the host stands."""
    made = tmp_path / "cloned"
    made.mkdir()
    return made


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Path]:
    """What the planted files leave; nothing, at the end."""
    made = tmp_path / "marks"
    made.mkdir()
    yield made
    assert [path.name for path in made.iterdir()] == []


@pytest.fixture
def plant(folder: Path, marks: Path) -> Plant:
    """Puts a file of every name into the folder, and into `x` below it."""

    def put(*names: str) -> None:
        for at in (folder, folder / "x"):
            for name in names or (*OURS, *LIBRARY, *NEEDED):
                path = at / f"{name}.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                mark = str(marks / name.replace("/", "."))
                code = f"import os\nos.close(os.open({mark!r}, os.O_CREAT | os.O_WRONLY))\nos._exit(7)\n"
                path.write_text(code, encoding="utf-8")

    return put


@pytest.fixture
def emulator(emulator_films: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """Emulated providers that take a while, and an environment that leads to them."""
    with running(emulator_films, state=make_state(wait_s=0.2, work_s=2.0)) as (base_url, world):
        for name, value in settings(base_url).items():
            monkeypatch.setenv(name, value)
        yield base_url, world


def relative_settings(folder: Path) -> dict[str, str]:
    """Everything that can be relative is; each is needed by the worker."""
    (folder / "facts.toml").write_text(OVERLAY, encoding="utf-8")
    (folder / "pictures").mkdir()
    authorities = Path(sysconfig.get_path("purelib"), "certifi", "cacert.pem")
    shutil.copy(authorities, folder / "authorities.pem")
    return {
        "LTX_MCP_HOME": "home",
        "LTX_MCP_MODELS": "facts.toml",
        "LTX_MCP_INPUT_DIRS": "pictures",
        "SSL_CERT_FILE": "authorities.pem",
        "PYTHONSTARTUP": "random.py",
        "PYTHONPYCACHEPREFIX": "x",
    }


@pytest.fixture
def look(folder: Path) -> Iterator[Look]:
    opened = Look(folder / "home")
    yield opened
    opened.database.close()


def finished(server: Server, look: Look, home: Path, job_id: str) -> None:
    """The host closes the chat; the worker that takes over brings the film."""
    assert server.process.stdout is not None
    assert server.close() == 0
    server.process.stdout.close()
    assert look.job(job_id).live
    wait_for(lambda: not look.job(job_id).live, SAVED_S)
    assert look.job(job_id).state is State.SUCCEEDED, look.job(job_id).error
    assert (home / "videos" / f"{job_id}.mp4").exists()
    assert look.history(job_id).count("submitting") <= 2
    wait_for(lambda: not processes_of(home), 30)


@pytest.mark.parametrize(("provider", "command"), [("fal", PYTHON), ("local", [SCRIPT])], ids=["module", "script"])
def test_a_film_ordered_in_a_strangers_folder_arrives_and_nothing_of_the_folder_runs(
    plant: Plant, folder: Path, look: Look, emulator: Emulated, command: list[str], provider: str
) -> None:
    plant()
    more = relative_settings(folder)
    server = Server(more["LTX_MCP_HOME"], command=command, folder=folder, more=more)
    order = {"prompt": "a pond"} if provider == "fal" else {"prompt": "a pond", **SMALL, "duration": 10}
    job_id = server.call("generate_video", provider=provider, **order)["job_id"]
    finished(server, look, folder / "home", job_id)


@pytest.mark.parametrize("entries", ["", ".:x"])
def test_what_is_planted_later_is_not_imported_though_the_host_names_the_folder_by_a_relative_entry(
    plant: Plant, folder: Path, look: Look, entries: str
) -> None:
    (folder / "x").mkdir()
    command = [sys.executable, "-m", "ltx_mcp"]  # without -P, as older versions of install wrote it
    server = Server("home", command=command, folder=folder, more={"PYTHONPATH": entries, "PYTHONUSERBASE": "x"})
    plant()
    job_id = server.call("generate_video", prompt="a pond", **SMALL, duration=10)["job_id"]
    finished(server, look, folder / "home", job_id)


def test_a_film_arrives_though_the_folder_is_removed_under_the_server(folder: Path, home: Path) -> None:
    server = Server(home, command=PYTHON, folder=folder)
    shutil.rmtree(folder)
    job_id = server.call("generate_video", prompt="a pond", **SMALL, duration=10)["job_id"]
    look = Look(home)
    try:
        finished(server, look, home, job_id)
    finally:
        look.database.close()


def starts() -> dict[str, list[str]]:
    """Every way in which somebody is told to start us, as far as it runs here."""
    facts = read_facts()
    image = json.loads(dockerfile(facts).rpartition("ENTRYPOINT ")[2])
    bundle = bundle_manifest(facts)["server"]["mcp_config"]["args"]
    return {
        "install": PYTHON,
        "image": [sys.executable, *image[1:]],
        "bundle": [sys.executable, *bundle[bundle.index("python") + 1 :]],
        "script": [SCRIPT],
    }


@pytest.mark.parametrize("way", ["install", "image", "bundle", "script"])
def test_however_it_is_started_a_command_imports_nothing_of_the_folder(
    plant: Plant, folder: Path, home: Path, way: str
) -> None:
    plant()
    for words in (["jobs"], ["install", "print"], ["completion", "bash"]):
        command = [*starts()[way], *words]
        ended = subprocess.run(command, cwd=folder, env=environment(home), capture_output=True, text=True)
        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr


def test_completion_imports_nothing_of_the_folder(plant: Plant, folder: Path, home: Path) -> None:
    plant()
    asked = {"_LTX_MCP_COMPLETE": "bash_complete", "COMP_WORDS": "ltx-mcp generate --model ", "COMP_CWORD": "3"}
    env = {**environment(home), **asked}
    ended = subprocess.run([SCRIPT], cwd=folder, env=env, capture_output=True, text=True)
    assert ended.stdout.startswith("plain,auto"), ended.stderr


async def test_the_media_process_imports_nothing_of_the_folder_and_finds_what_lies_there(
    plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant()
    Image.new("RGB", (64, 32)).save(folder / "a.png")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", ["", "x", *sys.path])
    media = MediaClient()
    try:
        assert (await media.probe_image("a.png")).width == 64
        await media.convert_image("a.png", Path("b.jpg"), "jpeg", (64, 36))
    finally:
        await media.close()
    assert (folder / "b.jpg").exists()


@pytest.mark.parametrize("relative", [("",), (".", "x"), ("x", "", "./x/../x"), ("./..", "nowhere")])
def test_only_what_is_named_in_full_is_handed_on(relative: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    library, user = tmp_path / "library", tmp_path / "user"
    library.mkdir()
    given = {
        "PYTHONPATH": os.pathsep.join([*relative, str(library)]),
        "PYTHONUSERBASE": str(user),
        "PYTHONSTARTUP": str(tmp_path / "startup.py"),
        "PYTHONHOME": sys.base_prefix,
        "PYTHONUTF8": "1",
        "FAL_KEY": "k",
    }
    code = (
        "import json, os; from ltx_mcp import launch; import sys\n"
        "print(json.dumps(launch.surroundings('/', os.environ) | {'command': launch.command('m', '-x')}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, **given}, capture_output=True, text=True
    )
    told = json.loads(ended.stdout)
    entries = told["env"]["PYTHONPATH"].split(os.pathsep)
    assert str(library) in entries
    strange = (str(folder), str(folder / "x"), str(folder / "nowhere"), str(tmp_path))
    assert [entry for entry in entries if not os.path.isabs(entry) or entry in strange] == []
    kept = {name: value for name, value in told["env"].items() if name in given}
    assert kept == {name: given[name] for name in ("PYTHONUSERBASE", "PYTHONUTF8", "FAL_KEY")} | {
        "PYTHONPATH": told["env"]["PYTHONPATH"]
    }
    assert told["command"][1:] == ["-P", "-m", "m", "-x"]
    assert os.path.isabs(told["command"][0])


def test_a_program_is_found_by_absolute_folders_of_path_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in (folder, folder.parent):
        (at / "uvx").write_text("#!/bin/sh\n", encoding="utf-8")
        (at / "uvx").chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "../cloned"]))
    assert launch.find_program("uvx") is None
    monkeypatch.setenv("PATH", os.pathsep.join([".", str(folder.parent)]))
    assert launch.find_program("uvx") == str(folder.parent / "uvx")
