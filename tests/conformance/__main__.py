"""`make conformance`: the suite scenario by scenario, and the Inspector; exit code 1 when not all is as expected."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ltx_mcp.providers.catalog_loader import read_providers, setting_names
from tests.conformance.inspector import ERAS, Found, Target, config_of, inspect
from tests.conformance.login import login_runs
from tests.conformance.packages import Programs, install
from tests.conformance.suite import ON_OURS, ON_TOYS, Verdict, read_expected, run_scenario
from tests.conformance.toys import toys_served
from tests.jobs.test_processes import processes_of, wait_for
from tests.server.test_http import Served

AT_A_TIME = 4
"""Most of them wait most of the time."""

Run = Callable[[], Verdict | Found]


def main(only: Sequence[str]) -> int:
    """Run everything, or what has one of these words in its name."""
    keep_to_ourselves()
    programs = install()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-conformance-") as name, toys_served() as toys:
        folder = Path(name)
        homes = {era: folder / f"stdio-{era}" for era in ERAS}
        try:
            with served(folder / "http") as url:
                runs = scenario_runs(programs, url, toys) | inspector_runs(programs, url, homes, folder)
                runs |= login_runs(programs)
                wanted = {name: run for name, run in runs.items() if not only or any(word in name for word in only)}
                failed = run_all(wanted)
        finally:
            for home in homes.values():
                wait_for(partial(gone, home), 60)
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'all as expected'}; {time.monotonic() - began:.0f} s")
    return 1 if failed or not wanted else 0


def keep_to_ourselves() -> None:
    """Nothing started from here can order at a provider: no keys, no settings of whoever runs this."""
    theirs = {name for facts in read_providers() for name in setting_names(facts)}
    for name in [name for name in os.environ if name in theirs or name.startswith("LTX_")]:
        del os.environ[name]
    os.environ["LTX_MCP_PROVIDERS"] = "local"


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of our server; at the end nothing works on its home any more."""
    server = Served(home)
    try:
        yield server.url
    finally:
        server.close()
        wait_for(partial(gone, home), 60)


def scenario_runs(programs: Programs, ours: str, toys: str) -> dict[str, Run]:
    """The suite's scenarios, on our server and on the toys."""
    expected = read_expected()
    places = dict.fromkeys(ON_OURS, ours) | dict.fromkeys(ON_TOYS, toys)
    return {name: partial(run_scenario, programs, url, name, expected) for name, url in places.items()}


def inspector_runs(programs: Programs, url: str, homes: dict[str, Path], folder: Path) -> dict[str, Run]:
    """Both eras over both transports."""
    config = config_of(folder / "inspector.json", url, homes)
    targets = [Target(transport, era) for transport in ("stdio", "http") for era in ERAS]
    return {str(target): partial(inspect, programs, config, target) for target in targets}


def run_all(runs: dict[str, Run]) -> list[str]:
    """Run them, the longest first, and tell of each as it ends; returns those that are not as expected."""
    failed = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        begun = {pool.submit(run): name for name, run in reversed(runs.items())}
        for each in as_completed(begun):
            print(each.result().line(), flush=True)
            failed += [begun[each]] if each.result().bad else []
    return failed


def gone(home: Path) -> bool:
    """Whether nothing works on this home any more."""
    return not processes_of(home)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
