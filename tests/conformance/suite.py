"""The official suite's scenarios, each with what it found, judged against the failures that are expected by name."""

import json
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.packages import Programs

BASELINE = Path(__file__).with_name("baseline.toml")
ON_OURS = (
    "server-initialize",
    "ping",
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "server-stateless",
    "tools-list",
    "resources-list",
    "prompts-list",
    "completion-complete",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
    "sep-2164-resource-not-found",
)
"""Those that need no tool or resource made for the suite."""
ON_TOYS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
LONGEST_S = 60

Expected = Mapping[str, Mapping[str, str]]
"""Scenario -> check -> why it fails."""


@dataclass(frozen=True)
class Verdict:
    """What one scenario came to. `bad` are sentences; where there is none it is as expected."""

    scenario: str
    passed: int
    expected: int
    skipped: int
    bad: tuple[str, ...]

    def line(self) -> str:
        """For a person."""
        parts = [f"{self.passed} passed"]
        parts += [f"{self.expected} expected to fail"] if self.expected else []
        parts += [f"{self.skipped} skipped by the suite"] if self.skipped else []
        first = f"{'FAILED' if self.bad else 'ok':6} {self.scenario}: {', '.join(parts)}"
        return "\n       ".join([first, *self.bad])


def read_expected(path: Path = BASELINE) -> Expected:
    """The failures that are known, with their reasons."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def judge(scenario: str, checks: Iterable[Mapping[str, Any]], expected: Mapping[str, str]) -> Verdict:
    """A warning counts as a failure; an expected failure that does not happen is one, too, so that the list stays
    true."""
    checks = list(checks)
    failed = {check["id"]: check for check in checks if check["status"] in ("FAILURE", "WARNING")}
    passed = {check["id"] for check in checks if check["status"] == "SUCCESS"} - failed.keys()
    skipped = {check["id"] for check in checks if check["status"] == "SKIPPED"}
    bad = [f"{name}: {failed[name].get('errorMessage', '')[:300]}" for name in failed if name not in expected]
    bad += [f"{name} does not fail any more: take it out of the baseline" for name in expected if name not in failed]
    if not passed and not failed and not skipped:
        bad.append("nothing was checked")
    return Verdict(scenario, len(passed), len(failed.keys() & expected.keys()), len(skipped), tuple(bad))


def run_scenario(programs: Programs, url: str, scenario: str, expected: Expected) -> Verdict:
    """Run one scenario against a server."""
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-suite-") as folder:
        command = [*programs.suite, "server", "--url", url, "--scenario", scenario, "--output-dir", folder]
        try:
            ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            return Verdict(scenario, 0, 0, 0, (f"it did not end within {LONGEST_S} s",))
        checks = [
            check
            for path in Path(folder).glob("*/checks.json")
            for check in json.loads(path.read_text(encoding="utf-8"))
        ]
    if not checks:
        return Verdict(scenario, 0, 0, 0, (f"no result: {(ended.stderr or ended.stdout)[-300:]}",))
    return judge(scenario, checks, expected.get(scenario, {}))
