"""From spawn to the answer of tools/list over stdio, ours against a bare server."""

import resource
import tempfile
import time
from pathlib import Path

from bench.table import Row, Table, ms, ratios, times
from bench.wire import BARE, BARE_WITHOUT_RICH, HANDSHAKE, MODERN, OURS, Era, Server, listed

ROUNDS = 15
BUDGET = 1.15
NAMES = {
    "floor": "bare SDK, rich not importable (floor)",
    "rich": "bare SDK, rich importable",
    "fresh": "ltx-mcp, fresh home",
    "used": "ltx-mcp, home with a database",
}
Figures = dict[str, list[float]]


def measure() -> Table:
    """Both eras, the four servers in turn, round by round."""
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "used"
        _make_database(used)
        rows = [row for era in (HANDSHAKE, MODERN) for row in _rows(era, Path(folder), used)]
    return Table(
        f"start: spawn -> tools/list over stdio, {ROUNDS} rounds",
        rows,
        ["Ratios are medians of the rounds' own ratios to the floor; compiled modules are warm."],
    )


def _rows(era: Era, folder: Path, used: Path) -> list[Row]:
    wall: Figures = {name: [] for name in NAMES}
    cpu: Figures = {name: [] for name in NAMES}
    for number in range(ROUNDS):
        fresh = folder / f"{era}-{number}"
        for name, module, home in (
            ("floor", BARE_WITHOUT_RICH, fresh),
            ("fresh", OURS, fresh),
            ("rich", BARE, fresh),
            ("used", OURS, used),
        ):
            took, worked = _first_list(module, home, era)
            wall[name].append(took)
            cpu[name].append(worked)
    shown = [Row(f"{era} {text}", wall[name], ms) for name, text in NAMES.items()]
    for name in ("fresh", "used"):
        shown.append(Row(f"{era} {NAMES[name]} / floor", ratios(wall[name], wall["floor"]), times, BUDGET))
        shown.append(Row(f"{era}   the same in CPU time", ratios(cpu[name], cpu["floor"]), times))
    return shown


def _first_list(module: str, home: Path, era: Era) -> tuple[float, float]:
    """Seconds until the list is there, and CPU seconds of the server until then."""
    before = _children_cpu_s()
    server = Server(module, home, era)
    try:
        server.hello()
        server.ask("tools/list", {})
        took = time.perf_counter() - server.spawned_at
    finally:
        server.kill()
    return took, _children_cpu_s() - before


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _make_database(home: Path) -> None:
    """A home that was used before; the other servers are started once too, so that nothing is compiled later."""
    for module in (BARE, BARE_WITHOUT_RICH):
        with listed(module, home):
            pass
    with listed(OURS, home) as server:
        server.call("estimate_cost")
