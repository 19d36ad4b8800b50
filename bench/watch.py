"""A call waits in one process for a job that another process holds: how soon it is told, and what waiting costs."""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import cpu_s, is_known
from bench.table import Row, Table, ms, percent
from bench.wire import OURS, Server, cancel_all, listed, structured

JOBS = 7
WAITS = 2
WAIT_S = 6
TOLD_BUDGET_S = 0.1
CPU_BUDGET = 1.0
TOKEN = "bench"
SHORT = {"provider": "local", "resolution": "720p", "fps": 24, "generate_audio": False}
LONG = {"provider": "local", "resolution": "2160p", "fps": 50, "duration": 20}


@dataclass(frozen=True)
class Ending:
    """How one wait ended: seconds from the row's change to the notice, and to the answer with its contact sheet."""

    noticed_s: float
    answered_s: float


def measure() -> Table:
    """B holds, A waits, both on one home."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with listed(OURS, home) as holder:
            holder.call("list_jobs")
            worker = next((home / "workers").glob("w_*.lock")).stem
            with listed(OURS, home) as waiter:
                waiter.call("list_jobs")
                endings = [_follow(number, holder, waiter, home, worker) for number in range(JOBS)]
                costs = _costs(holder, waiter, home, worker) if is_known() else {}
            cancel_all(holder)
    rows = [
        Row("row changed -> the waiting call's progress says so", [each.noticed_s for each in endings], ms),
        Row("row changed -> the waiting call answers", [each.answered_s for each in endings], ms, TOLD_BUDGET_S),
    ]
    if costs:
        rows.append(Row("A's CPU, waiting for a job queued behind others", costs["queued"], percent, CPU_BUDGET))
        rows.append(Row("A's CPU, waiting for a running job, progress told", costs["running"], percent, CPU_BUDGET))
        rows.append(Row("A's CPU, nobody waits, jobs under way in B", costs["under_way"], percent))
        rows.append(Row("A's CPU, nobody waits, no job", costs["idle"], percent))
    notes = [
        f"{JOBS} previews in turn; CPU over {WAIT_S} s each, as a share of one core. Counted from the time in the",
        "job's history, which is taken before that move is committed: the holder's commit is in the figure.",
    ]
    return Table("watch: a call waits in process A, process B holds the job", rows, notes)


def _follow(number: int, holder: Server, waiter: Server, home: Path, worker: str) -> Ending:
    """One job of the holder, waited for by the waiter."""
    job = holder.call("generate_video", prompt=f"A lighthouse, take {number}", **SHORT)
    _check_holder(home, job["job_id"], worker)
    waiter.told.clear()
    view = structured(waiter.receive(_wait(waiter, job["job_id"], 45)))
    answered_at = time.time()
    if view["state"] != "succeeded":
        raise SystemExit(f"The preview {view['state']}: {view}")
    changed_at = _succeeded_at(home, job["job_id"])
    noticed_at = next(each.at for each in waiter.told if "succeeded" in each.message["params"].get("message", ""))
    return Ending(noticed_at - changed_at, answered_at - changed_at)


def _costs(holder: Server, waiter: Server, home: Path, worker: str) -> dict[str, list[float]]:
    """Percent of a core that the waiter uses, by what goes on; the three with jobs under way in turn."""
    jobs = [holder.call("generate_video", prompt=f"A glacier, take {number}", **LONG)["job_id"] for number in range(3)]
    for job_id in jobs[:2]:
        _check_holder(home, job_id, worker)
    queued, running, under_way = [], [], []
    for _ in range(WAITS):
        queued.append(_share(waiter, lambda: _wait_in_vain(waiter, jobs[2], "queued")))
        running.append(_share(waiter, lambda: _wait_in_vain(waiter, jobs[0], "running")))
        under_way.append(_share(waiter, lambda: time.sleep(WAIT_S)))
    cancel_all(holder)
    time.sleep(1)
    idle = [_share(waiter, lambda: time.sleep(WAIT_S))]
    return {"queued": queued, "running": running, "under_way": under_way, "idle": idle}


def _share(waiter: Server, work: Callable[[], None]) -> float:
    """Percent of a core that the process used while `work` went on."""
    began, before = time.monotonic(), cpu_s(waiter.pid)
    work()
    return (cpu_s(waiter.pid) - before) / (time.monotonic() - began) * 100


def _wait_in_vain(waiter: Server, job_id: str, state: str) -> None:
    """A wait that ends with the job as it was."""
    view = structured(waiter.receive(_wait(waiter, job_id, WAIT_S)))
    if view["state"] != state:
        raise SystemExit(f"The job was {view['state']}, not {state}: {view}")


def _wait(waiter: Server, job_id: str, seconds: int) -> int:
    arguments = {"job_id": job_id, "wait_seconds": seconds}
    return waiter.send("tools/call", {"name": "check_job", "arguments": arguments, "_meta": {"progressToken": TOKEN}})


def _check_holder(home: Path, job_id: str, worker: str) -> None:
    """The figures mean nothing when the waiting process holds the job itself."""
    holder = _ask(home, "SELECT holder FROM jobs WHERE id = ?", job_id)
    if holder != worker:
        raise SystemExit(f"{job_id} is held by {holder or 'nobody'}, not by the other process.")


def _succeeded_at(home: Path, job_id: str) -> float:
    """When the job's history says it succeeded, in seconds since 1970."""
    at = _ask(home, "SELECT at FROM events WHERE job_id = ? AND what = 'succeeded'", job_id)
    return float(at) / 1_000_000


def _ask(home: Path, query: str, job_id: str) -> Any:
    with closing(sqlite3.connect(home / "jobs.sqlite")) as connection:
        return connection.execute(query, (job_id,)).fetchone()[0]
