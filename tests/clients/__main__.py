"""`python -m tests.clients`: every client against our server; exit code 1 when one does not see what it should.

What each showed is kept in results.json, from which docs/hosts.md has its table, when all were run.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.clients.environments import FOLDER, Client, install, read_clients
from tests.clients.judge import Record, judge, unexpected
from tests.clients.linter import lint, read_linter, read_reasons, unexplained
from tests.clients.room import Room, opened
from tests.conformance.__main__ import gone
from tests.jobs.test_processes import wait_for

RESULTS = Path(__file__).with_name("results.json")


def main(only: Sequence[str]) -> int:
    """Run all clients, or those that have one of these words in their name."""
    began = time.monotonic()
    failed: list[str] = []
    clients = [each for each in read_clients() if not only or any(word in each.name for word in only)]
    for client in clients:
        install(client)
    if not only or "linter" in only:
        failed += [] if is_fit() else ["linter"]
    if clients:
        failed += try_clients(clients)
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'all as expected'}; {time.monotonic() - began:.0f} s")
    return 1 if failed or not (clients or "linter" in only) else 0


def is_fit() -> bool:
    """Whether the linter finds nothing in our tools that has no reason; tells of it."""
    linter = read_linter()
    install(linter)
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-linter-") as name:
        issues = lint(linter, Path(name))
    found = list(unexplained(issues, read_reasons()))
    print(f"{'FAILED' if found else 'ok':6} linter: {len(issues)} warnings", flush=True)
    for each in found:
        print(f"       {each}", flush=True)
    return not found


def try_clients(clients: Sequence[Client]) -> list[str]:
    """Run these, one after the other; the names of those that are not as expected. Their requests stay in `seen`."""
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-clients-") as name:
        folder = Path(name)
        try:
            with opened(folder) as room:
                return [client.name for client in clients if not try_client(client, room)]
        finally:
            wait_for(partial(gone, folder / "ltx"), 60)
            for client in clients:
                shutil.rmtree(FOLDER / "seen" / client.name, ignore_errors=True)
            shutil.copytree(folder, FOLDER / "seen", dirs_exist_ok=True, ignore=shutil.ignore_patterns("ltx", "home"))


def try_client(client: Client, room: Room) -> bool:
    """Run one client, keep its record and tell of it; whether it is as expected."""
    began = time.monotonic()
    run = room.run(client)
    record, wrong = judge(run)
    bad = unexpected(run, wrong)
    keep(client, record)
    took = time.monotonic() - began
    print(
        f"{'FAILED' if bad else 'ok':6} {client.name}: {record.shows}, picture: {record.picture}, "
        f"{record.cycle_tokens} tokens a cycle, calls itself {record.calls_itself!r}; {took:.0f} s",
        flush=True,
    )
    for name, why in bad.items():
        print(f"       {name}: {why}", flush=True)
    return not bad


def keep(client: Client, record: Record) -> None:
    """Put the record into the results, in the order of the clients."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept[client.name] = record.to_json()
    ordered = {each.name: kept[each.name] for each in read_clients() if each.name in kept}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
