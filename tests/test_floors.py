"""The house: each floor imports only from those above it, and what is heavy stays off the way to the first answer."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ltx_mcp"
FLOORS = [
    "launch",
    "private",
    "absolute_paths",
    "log_context",
    "settings",
    "telemetry",
    "domain",
    "net",
    "media",
    "providers",
    "jobs",
    "presentation",
    "server",
    "emulator",
    "cli",
]
# settings raise the domain's errors, and are read by nobody but the edge
ALSO = {"settings": {"domain"}}
READS_ENVIRONMENT = {"settings.py"}
# what is Python's own is no setting
MAY_NAME_ENVIRONMENT = READS_ENVIRONMENT | {"launch.py"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def floor_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "ltx_mcp"}
    return found


def imports_from_below(path: Path) -> set[str]:
    """What a file imports and must not."""
    floor = floor_of(path)
    if floor in ("__init__", "__main__"):
        return set()
    allowed = set(FLOORS[: FLOORS.index(floor) + 1]) | ALSO.get(floor, set())
    return {name.split(".")[1] for name in imports(path) if name.startswith("ltx_mcp.")} - allowed - {"__version__"}


def test_a_floor_imports_only_from_those_above_it() -> None:
    found = {str(path.relative_to(PACKAGE)): imports_from_below(path) for path in MODULES}
    assert len(found) > 100
    assert {path: below for path, below in found.items() if below} == {}


def test_the_domain_does_no_io_and_knows_no_clock() -> None:
    for path in (PACKAGE / "domain").glob("*.py"):
        heavy = {"os", "io", "time", "asyncio", "anyio", "socket", "subprocess", "sqlalchemy", "httpx"}
        assert not heavy & {name.split(".")[0] for name in imports(path)}, path.name
        source = path.read_text(encoding="utf-8")
        assert "await " not in source
        assert ".now(" not in source


def test_only_the_net_speaks_http() -> None:
    speakers = {str(path.relative_to(PACKAGE)) for path in MODULES if "httpx" in imports(path)}
    assert speakers == {"net/ssrf.py", "net/provider_client.py", "net/download.py"}


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if "os.environ" in path.read_text(encoding="utf-8") or "getenv" in path.read_text(encoding="utf-8")
    }
    assert readers <= MAY_NAME_ENVIRONMENT
    assert readers >= READS_ENVIRONMENT


def test_every_file_says_what_is_in_it_and_stays_short() -> None:
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        if path.name == "__init__.py" and not source:
            continue
        assert ast.get_docstring(ast.parse(source)), path
        assert len(source.splitlines()) <= 400, path


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_at_run_time(node: ast.AST) -> set[str]:
    """Every module that is imported below a node, in functions too."""
    found = set()
    for child in ast.iter_child_nodes(node):
        if is_for_types(child):
            continue
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom) and child.module:
            found |= {child.module, *(f"{child.module}.{alias.name}" for alias in child.names)}
        found |= imports_at_run_time(child)
    return found


def test_no_two_files_import_each_other_however_late() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in MODULES}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in names.items()}
    left = {name: imports_at_run_time(tree) & names.keys() - {name} for name, tree in trees.items()}
    while free := {name for name, needed in left.items() if not needed & left.keys()}:
        left = {name: needed for name, needed in left.items() if name not in free}
    assert left == {}


def test_no_room_has_more_files_than_one_sees_at_a_glance() -> None:
    rooms = {path.parent for path in MODULES}
    counts = {room: len([path for path in room.glob("*.py") if path.name != "__init__.py"]) for room in rooms}
    assert {str(room): count for room, count in counts.items() if count > 24} == {}


def test_a_class_name_stands_for_one_class() -> None:
    classes = [
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted({name for name in classes if classes.count(name) > 1}) == []


def test_what_is_heavy_is_not_imported_on_the_way_to_the_first_answer() -> None:
    code = (
        "import sys; from ltx_mcp.presentation.config import read_edge; from ltx_mcp.server.app import make_server; "
        "make_server(*read_edge()); "
        "heavy = ('sqlalchemy', 'av', 'PIL', 'httpx', 'rich', 'filelock', 'jwt', 'opentelemetry.metrics'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("side", "heavy"), [("client", {"av", "PIL"}), ("process", {"av", "PIL", "pydantic", "anyio", "asyncio"})]
)
def test_each_side_of_the_media_process_loads_only_what_it_needs_to_wait_for_work(side: str, heavy: set[str]) -> None:
    code = f"import sys, ltx_mcp.media.{side}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["nonsense"], ["serve", "--nonsense"]])
def test_version_and_usage_errors_come_without_the_sdk(arguments: list[str]) -> None:
    code = (
        "import sys; from ltx_mcp.__main__ import main\n"
        f"sys.argv = ['ltx-mcp', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('SDK' if 'mcp' in sys.modules else 'light', file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip().endswith("light")
