"""Resident memory of a stdio server: after tools/list against a bare server, and later in its life."""

import tempfile
from pathlib import Path

from bench.process import Memory, family_memory, is_known, memory
from bench.table import Row, Table, mib, ratios, times
from bench.wire import BARE_WITHOUT_RICH, OURS, listed

ROUNDS = 5
LIVES = 3
BUDGET = 1.15
TITLE = "memory: resident, ours against a bare server without rich"


def measure() -> Table:
    """Skipped where the kernel has no smaps_rollup."""
    if not is_known():
        return Table(TITLE, [], ["Skipped: this system has no /proc/PID/smaps_rollup."])
    with tempfile.TemporaryDirectory() as folder:
        pairs = [
            (_after_list(BARE_WITHOUT_RICH, Path(folder) / "none"), _after_list(OURS, Path(folder) / f"fresh-{number}"))
            for number in range(ROUNDS)
        ]
        lives = [_life(Path(folder) / f"life-{number}") for number in range(LIVES)]
    return Table(TITLE, [*_list_rows(pairs), *_life_rows(lives)], [f"{ROUNDS} rounds in turn; {LIVES} whole lives."])


def _list_rows(pairs: list[tuple[Memory, Memory]]) -> list[Row]:
    rows = []
    for kind in ("rss", "pss"):
        bare, ours = ([getattr(each, kind) for each in side] for side in zip(*pairs, strict=True))
        name = kind.upper()
        rows.append(Row(f"{name} after tools/list, bare", bare, mib))
        rows.append(Row(f"{name} after tools/list, ltx-mcp", ours, mib))
        rows.append(Row(f"{name} after tools/list, ratio", ratios(ours, bare), times, BUDGET))
    return rows


def _life_rows(lives: list[dict[str, Memory]]) -> list[Row]:
    return [
        Row(f"{kind.upper()} {when}", [getattr(life[when], kind) for life in lives], mib)
        for when in lives[0]
        for kind in ("rss", "pss")
    ]


def _after_list(module: str, home: Path) -> Memory:
    with listed(module, home) as server:
        return memory(server.pid)


def _life(home: Path) -> dict[str, Memory]:
    """One server from its first price to its first film."""
    found = {}
    with listed(OURS, home) as server:
        server.call("estimate_cost")
        found["after estimate_cost"] = memory(server.pid)
        job = server.call("generate_video", prompt="A small boat", provider="local", resolution="720p", wait_seconds=50)
        view = server.call("check_job", job_id=job["job_id"], wait_seconds=50)
        if view["state"] != "succeeded":
            raise SystemExit(f"The preview {view['state']}: {view}")
        found["after a film"] = memory(server.pid)
        found["after a film, with its child"] = family_memory(server.pid)
    return found
