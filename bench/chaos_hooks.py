"""Webhooks of a chaos run: who is to be told of which ends, the receiver that fails, and whether all were told."""

import json
import os
import secrets
import socket
import subprocess
import sys
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, func, select

from bench.chaos_books import Books
from bench.chaos_receiver import SECRETS, TAKEN
from bench.table import Row, count
from bench.wire import ROOT
from ltx_mcp.domain.job import TERMINAL_STATES, Job
from ltx_mcp.jobs.store.schema import deliveries
from tests.jobs.test_processes import wait_for
from tests.patience import HANG_S

FAILING = 0.4
IN_ENVIRONMENT = "CHAOS_HOOK_SECRET"
HOLDER_DIED, UNKNOWN = "holder_died", "unknown"
NAMES = ("everybody", "red")
RED = ("token|ann", "token|bob")
FILE = """
[webhook.everybody]
url = "http://127.0.0.1:{port}/everybody"
secrets = ["{new}", "{old}"]
allow_private = true

[webhook.red]
url = "http://127.0.0.1:{port}/red"
secret_envs = ["{variable}"]
callers = ["token|ann", "token|bob"]
events = ["job.succeeded", "job.failed"]
allow_private = true
"""

End = tuple[str, str, str]
"""A webhook, a job and the state in which it ended."""


@dataclass(frozen=True)
class Letter:
    """One try as the receiver saw it. `flaw` is what the witness of signatures found."""

    hook: str
    id: str
    body: str
    answer: str
    flaw: str

    @property
    def end(self) -> End:
        """What it tells."""
        data = json.loads(self.body)["data"]
        return self.hook, data["job_id"], data["state"]


def _make_secret() -> str:
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


@dataclass
class Hooks:
    """The receiver and what it was told."""

    folder: Path
    _old: str = field(default_factory=_make_secret)
    _red: str = field(default_factory=_make_secret)
    _port: int = 0
    _failing: float = FAILING
    _process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What every replica is given."""
        return {"LTX_MCP_WEBHOOKS": str(self.folder / "webhooks.toml"), IN_ENVIRONMENT: self._red}

    def prepare(self) -> None:
        """Find a port, write the file, and start the receiver."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        words = {"port": self._port, "new": _make_secret(), "old": self._old, "variable": IN_ENVIRONMENT}
        (self.folder / "webhooks.toml").write_text(FILE.format(**words), encoding="utf-8")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        path, env = str(self._log), os.environ | {SECRETS: json.dumps({"everybody": self._old, "red": self._red})}
        command = [sys.executable, "-m", "bench.chaos_receiver", str(self._port), path, str(self._failing)]
        self._process = subprocess.Popen(command, env=env, cwd=ROOT)
        wait_for(self._listens, HANG_S)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it answers."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def recover(self) -> None:
        """From now on it takes everything."""
        self._failing = 0.0
        self.kill()
        self.start()

    def replay(self, env: Mapping[str, str]) -> None:
        """Have both webhooks told of what they do not know, as an operator does: the later tries of the schedule are
        minutes and hours apart."""
        for name in NAMES:
            command = [sys.executable, "-m", "ltx_mcp", "webhooks", "replay", "--webhook", name, "--since", "1d"]
            subprocess.run(command, env=dict(env), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        """Kill it."""
        if self._process is not None:
            self.kill()

    def letters(self) -> list[Letter]:
        """All that came."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [Letter(**json.loads(line)) for line in lines]

    @property
    def _log(self) -> Path:
        return self.folder / "letters.jsonl"

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False


def count_waiting(engine: Engine) -> int:
    """How many ends are still to be told."""
    with engine.connect() as connection:
        query = select(func.count()).select_from(deliveries).where(deliveries.c.outcome == "")
        return int(connection.execute(query).scalar_one())


def read_outbox(engine: Engine) -> dict[End, str]:
    """What the outbox says became of each end."""
    columns = (deliveries.c.webhook, deliveries.c.job_id, deliveries.c.state, deliveries.c.outcome)
    with engine.connect() as connection:
        return {(hook, job_id, state): outcome for hook, job_id, state, outcome in connection.execute(select(*columns))}


def check_letters(letters: Sequence[Letter], outbox: Mapping[End, str], books: Books) -> dict[str, list[str]]:
    """Every promise about webhooks, with what breaks it."""
    owed = {end for job in books.jobs.values() for end in ends_of(books, job)}
    possible = owed | {end for job in books.jobs.values() for end in ends_of(books, job, perhaps=True)}
    signed = [letter for letter in letters if not letter.flaw]
    taken = {letter.end for letter in signed if letter.answer == TAKEN}
    told = {letter.end for letter in signed}
    return {
        "webhook messages whose signature is not good": [f"{each.id} {each.flaw}" for each in letters if each.flaw],
        "ends of jobs that a webhook was not told": _named(owed - taken),
        "ends told that no job came to, or that nobody asked for": _named(told - possible),
        "webhook messages with two bodies, or of two ends": _ambiguous(signed),
        "webhook messages that say something else than the row": [
            each.id for each in signed if each.end in possible and not _fits(each, books.jobs[each.end[1]])
        ],
        "ends in the outbox that were not delivered": _named({end for end in outbox if outbox[end] != "delivered"}),
        "ends that the outbox does not know, or alone knows": _named(
            (owed - outbox.keys()) | (outbox.keys() - possible)
        ),
    }


def ends_of(books: Books, job: Job, *, perhaps: bool = False) -> set[End]:
    """Who is to be told of which ends of a job, by its history and its row. `perhaps`: also that its outcome was
    unknown for a while, of which the history of a job whose holder died says nothing."""
    passed = {line.what for line in books.history(job.id)}
    states = {str(state) for state in TERMINAL_STATES if state in passed or state is job.state}
    if perhaps and HOLDER_DIED in passed:
        states.add(UNKNOWN)
    is_red = job.caller in RED
    red = {("red", job.id, state) for state in states if is_red and state in ("succeeded", "failed")}
    return {("everybody", job.id, state) for state in states} | red


def rows_of(letters: Sequence[Letter]) -> list[Row]:
    """How much was told, and what became of it."""
    answers = Counter(letter.answer for letter in letters)
    taken = Counter(letter.end for letter in letters if letter.answer == TAKEN)
    return [
        Row("webhook messages that came", [len(letters)], count),
        *(Row(f"  answered: {answer}", [number], count) for answer, number in sorted(answers.items())),
        Row("ends of jobs that webhooks took", [len(taken)], count),
        Row("  more than once", [sum(number > 1 for number in taken.values())], count),
    ]


def _ambiguous(letters: Sequence[Letter]) -> list[str]:
    """Names of messages, which must be the end's alone and always say the same."""
    bodies, ends = defaultdict(set), defaultdict(set)
    for letter in letters:
        bodies[letter.hook, letter.id].add(letter.body)
        ends[letter.end].add(letter.id)
    return [name for (_, name), found in bodies.items() if len(found) > 1] + [
        f"{end[1]} {end[2]}" for end, found in ends.items() if len(found) > 1
    ]


def _fits(letter: Letter, job: Job) -> bool:
    body = json.loads(letter.body)
    _, job_id, state = letter.end
    name = f"msg_{job_id.removeprefix('job_')}_{state}"
    data = {"job_id": job_id, "state": state, "user": "", "request_key": job.request_key}
    return (letter.id, body["type"], body["data"]) == (name, f"job.{state}", data)


def _named(ends: set[End]) -> list[str]:
    return sorted(f"{job_id} {state} ({hook})" for hook, job_id, state in ends)
