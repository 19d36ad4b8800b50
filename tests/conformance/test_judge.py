"""How the suite's results are judged; needs no npm. The programs themselves run by `make conformance`."""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packages import PACKAGES
from tests.conformance.suite import ON_OURS, ON_TOYS, judge, read_expected

KNOWN = {"old": "wants a fixture"}


def found(**statuses: str) -> list[dict[str, Any]]:
    return [{"id": name, "status": status, "errorMessage": "so it says"} for name, status in statuses.items()]


def test_what_passes_and_fails_as_expected_is_fine() -> None:
    verdict = judge("s", found(new="SUCCESS", old="FAILURE", told="INFO"), KNOWN)
    assert (verdict.passed, verdict.expected, verdict.bad) == (1, 1, ())


@pytest.mark.parametrize("status", ["FAILURE", "WARNING"])
def test_another_failure_or_warning_is_named_with_what_the_suite_says(status: str) -> None:
    assert judge("s", found(new=status, old="FAILURE"), KNOWN).bad == ("new: so it says",)


def test_an_expected_failure_that_passes_fails_the_run() -> None:
    verdict = judge("s", found(new="SUCCESS", old="SUCCESS"), KNOWN)
    assert verdict.bad == ("old does not fail any more: take it out of the baseline",)


def test_a_check_that_passes_once_and_fails_once_has_failed() -> None:
    verdict = judge("s", [*found(new="SUCCESS"), *found(new="FAILURE")], {})
    assert (verdict.passed, len(verdict.bad)) == (0, 1)


def test_a_scenario_without_a_single_check_has_not_passed() -> None:
    assert judge("s", [], {}).bad == ("nothing was checked",)
    assert judge("s", found(later="SKIPPED"), {}).bad == ()


def test_every_expected_failure_has_a_reason_and_belongs_to_a_scenario_that_is_run() -> None:
    expected = read_expected()
    assert expected.keys() <= {*ON_OURS, *ON_TOYS}
    assert all(reason.endswith(".") for checks in expected.values() for reason in checks.values())


def test_the_page_names_what_is_run() -> None:
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
    for name, version in PACKAGES.items():
        assert name == "node" or f"`{name}` {version}" in page
    for scenario in (*ON_OURS, *read_expected()):
        assert f"`{scenario}`" in page
