"""Judges a run from three sources that know nothing of each other: the emulator's orders, the database, the callers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av

from bench.chaos_books import Books, Key, Line, remote_id, replay_money
from bench.table import Row, Table, count
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.price import from_micro, to_text

OPEN_STATUS = (500, 503)
OPENS = frozenset({"drop_before", "drop_after", "html", "html_after", "truncated", "cut", "wrong_type"})
"""Faults at an order after which nobody can know whether it was taken."""
REPEAT_WINDOW = timedelta(minutes=2)
CLOSE = timedelta(seconds=0.2)
"""How far the moment of a kill may be written down from the kill itself, on a machine that is busy."""
MAX_SHOWN = 10


@dataclass
class Told:
    """One request as its caller saw it."""

    prompt: str
    request_key: str
    job_ids: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    deaths: int = 0
    unanswered: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that is known of a run. `limit_micro` is the day's budget, `limits` are those of callers and teams, `kills`
    when a server was killed."""

    orders: Sequence[Mapping[str, Any]]
    faults: Sequence[Mapping[str, Any]]
    books: Books
    told: Sequence[Told]
    kills: Sequence[datetime]
    videos: Path
    limit_micro: int | None
    limits: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def owners(self) -> dict[str, list[Job]]:
        """The job or jobs of each order: the one that knows its id, else one of the same words that lacks an order."""
        found: dict[str, list[Job]] = {}
        by_remote = defaultdict(list)
        for job in self.books.jobs.values():
            by_remote[remote_id(job)].append(job)
        for order in self.orders:
            found[order["id"]] = list(by_remote.get(order["id"], ()))
        taken = {job.id for jobs in found.values() for job in jobs}
        by_prompt = self.books.by_prompt()
        for order in self.orders:
            if not found[order["id"]]:
                same = by_prompt.get(order["fields"]["prompt"], [])
                free = [job for job in same if job.id not in taken and not job.provider_ref] or same
                found[order["id"]] = free[:1]
                taken.update(job.id for job in free[:1])
        return found

    @cached_property
    def orders_of(self) -> Counter[str]:
        """How many orders each job has at the emulator."""
        counted = Counter(dict.fromkeys(self.books.jobs, 0))
        counted.update(job.id for jobs in self.owners.values() for job in jobs)
        return counted

    def of_state(self, *states: State) -> list[Job]:
        """The jobs that came to one of these."""
        return [job for job in self.books.jobs.values() if job.state in states]


@dataclass(frozen=True)
class Verdict:
    """The table, and each broken promise with the jobs it is about."""

    table: Table
    broken: Mapping[str, Sequence[str]]
    books: Books


def judge(
    title: str,
    seen: Evidence,
    more: Sequence[Row],
    notes: Sequence[str],
    others: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Verdict:
    """Every promise, with those who break it; `others` were judged before."""
    killed, wired, unexplained = sort_unknowns(seen)
    checks = {
        "jobs with two orders or more": [job_id for job_id, number in seen.orders_of.items() if number > 1],
        "orders that belong to no job, or to two": [name for name, jobs in seen.owners.items() if len(jobs) != 1],
        "jobs told to a caller but not in the database": find_lost(seen),
        "jobs still alive after the calm": [job.id for job in seen.books.jobs.values() if job.live],
        "keys or requests with two jobs": find_twins(seen),
        "unknowns that nothing explains": unexplained,
        "films made and paid that lie nowhere": find_missing(seen),
        "succeeded without a film that plays": find_unplayable(seen),
        "jobs that broke inside (internal_error)": find_internal(seen),
        **check_money(seen),
        **others,
    }
    histogram = Counter(min(number, 2) for number in seen.orders_of.values())
    rows = [
        *more,
        _row("jobs in the database", len(seen.books.jobs)),
        _row("orders the emulator took", len(seen.orders)),
        *(_row(f"  jobs with {number}{'+' * (number == 2)} orders", histogram[number]) for number in (0, 1, 2)),
        *(_row(f"  jobs {state}", len(seen.of_state(state))) for state in State),
        _row("unknown: a kill while the order was on the wire", len(killed)),
        _row("unknown: a fault on the wire", len(wired)),
        _row("  faults spent that can leave an order open", sum(spent_faults(seen).values())),
        *(Row(what, [len(found)], count, 0) for what, found in checks.items()),
    ]
    told = [*notes, *_money_notes(seen), f"Failed: {_tally(seen)}."]
    return Verdict(Table(title, rows, told), {what: found for what, found in checks.items() if found}, seen.books)


def print_verdict(verdict: Verdict) -> int:
    """The table, and the history of each job that broke a promise; 1 where there is any, or a budget was missed."""
    print(verdict.table.text(), flush=True)
    for what, found in verdict.broken.items():
        print(f"BROKEN: {what}: {', '.join(found[:MAX_SHOWN])}")
        for job in [
            verdict.books.jobs[name] for name in map(_first_word, found[:MAX_SHOWN]) if name in verdict.books.jobs
        ]:
            print(f"  {job.id} is {job.state} at {job.offer.provider}: {job.prompt!r}, {job.error}")
            for line in verdict.books.history(job.id):
                print(f"    {line.at:%H:%M:%S.%f} {line.what} {dict(line.detail)}")
    return int(any(row.cells()[4] == "over" for row in verdict.table.rows))


def _first_word(text: str) -> str:
    return text.partition(" ")[0]


def _row(what: str, number: int) -> Row:
    return Row(what, [number], count)


def find_lost(seen: Evidence) -> list[str]:
    """Job ids that a caller was told."""
    return sorted({job_id for told in seen.told for job_id in told.job_ids} - set(seen.books.jobs))


def find_twins(seen: Evidence) -> list[str]:
    """A key that got two jobs, by the callers' word or the database's; or a request without a key that got a second
    job while the first was alive, or had just succeeded."""
    found = [each.request_key for each in seen.told if each.request_key and len(each.job_ids) > 1]
    for jobs in seen.books.by_prompt().values():
        for before, after in pairwise(jobs):
            # by the numbers of their events: a time was taken before the lock was waited for
            last, first = seen.books.history(before.id)[-1], seen.books.history(after.id)[0]
            gone = before.state in (State.FAILED, State.CANCELLED)
            old = before.finished_at is not None and after.created_at - before.finished_at > REPEAT_WINDOW
            if before.request_key or last.number > first.number or not (gone or old):
                found += [before.id, after.id]
    return found


def sort_unknowns(seen: Evidence) -> tuple[list[str], list[str], list[str]]:
    """Those that a kill explains, those that a fault explains, and those that nothing does."""
    killed, wired, unexplained = [], [], []
    left = spent_faults(seen)
    for job in seen.of_state(State.UNKNOWN):
        lines = seen.books.history(job.id)
        if _was_killed(lines, seen.kills):
            killed.append(job.id)
        elif lines[-1].what == "unknown" and left[job.offer.provider] > 0:
            left[job.offer.provider] -= 1
            wired.append(job.id)
        else:
            unexplained.append(job.id)
    return killed, wired, unexplained


def _was_killed(lines: Sequence[Line], kills: Sequence[datetime]) -> bool:
    """Whether the holder died between the order's first byte and its answer, and somebody was killed then."""
    last, before = lines[-1], [line for line in lines if line.what == "submitting"]
    within = bool(before) and any(before[-1].at - CLOSE <= kill <= last.at + CLOSE for kill in kills)
    return last.what == "holder_died" and within


def spent_faults(seen: Evidence) -> Counter[str]:
    """How many faults at orders came about that leave an outcome open, by provider."""
    spent: Counter[str] = Counter()
    for fault in seen.faults:
        opens = fault["kind"] in OPENS or fault["options"].get("status") in OPEN_STATUS
        if fault["step"] == "submit" and opens and not fault["times"]:
            spent[fault["provider"]] += 1
    return spent


def find_missing(seen: Evidence) -> list[str]:
    """Orders whose film is made, of jobs that know the order, where the film is not here."""
    found = []
    for order in seen.orders:
        for job in seen.owners[order["id"]]:
            if order["state"] == "done" and job.provider_ref and not _film(seen, job).exists():
                found.append(f"{job.id} ({job.state})")
    return found


def find_unplayable(seen: Evidence) -> list[str]:
    """Succeeded jobs whose file is missing, or has no frame that can be decoded."""
    return [job.id for job in seen.of_state(State.SUCCEEDED) if not _plays(_film(seen, job))]


def find_internal(seen: Evidence) -> list[str]:
    """Jobs that failed by a fault of ours."""
    return [job.id for job in seen.books.jobs.values() if job.error and job.error.code == "internal_error"]


def check_money(seen: Evidence) -> dict[str, list[str]]:
    """Whether the budget ever gave more than there was, and whether the history tells the same as the rows."""
    most, wrong = replay_money(seen.books)
    over = seen.limit_micro is not None and most > seen.limit_micro
    return {
        "moments when more was held and booked than the budget": [to_text(from_micro(most))] if over else [],
        "budgets of callers and teams that were passed": [
            scope for scope, limit in seen.limits.items() if replay_money(seen.books, scope)[0] > limit
        ],
        "rows whose money the history tells otherwise": wrong,
        "counters that differ from a recount": _differing(seen.books.counters, seen.books.recount),
    }


def _differing(counters: Mapping[Key, int], recount: Mapping[Key, int]) -> list[str]:
    keys = sorted(counters.keys() | recount.keys())
    return [
        f"{key} {counters.get(key, 0)}, not {recount.get(key, 0)}"
        for key in keys
        if counters.get(key, 0) != recount.get(key, 0)
    ]


def _money_notes(seen: Evidence) -> list[str]:
    most, _ = replay_money(seen.books)
    limit = "none" if seen.limit_micro is None else to_text(from_micro(seen.limit_micro))
    shares = [
        f"{scope} {to_text(from_micro(replay_money(seen.books, scope)[0]))} of {to_text(from_micro(most_of))}"
        for scope, most_of in seen.limits.items()
    ]
    return [
        f"Most held and booked at once, replayed: {to_text(from_micro(most))} USD; budget {limit} USD.",
        f"The same of each budget, USD: {', '.join(shares) or 'none'}; {len(seen.books.counters)} counters.",
    ]


def _tally(seen: Evidence) -> str:
    codes = Counter(str(job.error.code) for job in seen.of_state(State.FAILED) if job.error)
    return ", ".join(f"{number} {code}" for code, number in codes.most_common()) or "none"


def _film(seen: Evidence, job: Job) -> Path:
    return seen.videos / f"{job.id}.mp4"


def _plays(path: Path) -> bool:
    try:
        with av.open(str(path)) as film:
            return next(film.decode(video=0), None) is not None
    except (OSError, av.FFmpegError):
        return False
