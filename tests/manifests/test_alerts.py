"""Prometheus's own promtool runs the alerts over minutes of samples: each fires when it should, and not before."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.make import FOLDER
from tests.conftest import missing
from tests.patience import HANG_S

REPLICA = 'replica="{}"'
RULES = FOLDER / "service/prometheus/alerts.yaml"
CALM = {
    "ltx_replicas": "2+0x120",
    'ltx_money_USD{bill="held"}': "2+0x120",
    'ltx_money_USD{bill="booked"}': "5+0x120",
    "ltx_money_budget_USD": "10+0x120",
    'ltx_jobs_unknown{provider="fal"}': "0+0x120",
    'ltx_webhook_waiting{webhook="shop"}': "3+0x120",
    'ltx_webhook_deliveries_total{webhook="shop",outcome="delivered"}': "0+1x120",
    'ltx_jobs_ended_total{provider="fal",state="succeeded"}': "0+3x120",
    'ltx_jobs_ended_total{provider="fal",state="failed"}': "0+1x120",
    'ltx_job_accept_duration_seconds_bucket{provider="fal",le="10"}': "0+20x120",
    'ltx_job_accept_duration_seconds_bucket{provider="fal",le="60"}': "0+20x120",
    'ltx_job_accept_duration_seconds_bucket{provider="fal",le="+Inf"}': "0+20x120",
}
"""A minute apart. Two servers that tell 2 + 5 USD each have spent 7, not 14. Where jobs end all the time, some ends are
always on their way to a webhook."""
WRONG: dict[str, dict[str, str]] = {
    "LtxMcpNoReplica": {"ltx_replicas": "2+0x20 _x100"},
    "LtxMcpOutcomeUnknown": {'ltx_jobs_unknown{provider="fal"}': "0+0x20 1+0x100"},
    "LtxMcpBudgetNear": {'ltx_money_USD{bill="booked"}': "5+0x20 6.5+0x100"},
    "LtxMcpWebhooksWait": {'ltx_webhook_deliveries_total{webhook="shop",outcome="delivered"}': "0+1x20 20+0x100"},
    "LtxMcpWebhookGivenUp": {
        'ltx_webhook_deliveries_total{webhook="shop",outcome="given_up"}': "_x90 1+0x30",
    },
    "LtxMcpAcceptSlow": {'ltx_job_accept_duration_seconds_bucket{provider="fal",le="10"}': "0+10x120"},
    "LtxMcpJobsFail": {'ltx_jobs_ended_total{provider="fal",state="succeeded"}': "0+0x120"},
}


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool") or missing("prometheus is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=HANG_S)


def fired(samples: dict[str, str], folder: Path) -> set[str]:
    """What fires in the end. promtool is told to expect none, and says which it found nevertheless."""
    series = [
        {"series": _of_replica(name, replica), "values": values}
        for name, values in samples.items()
        for replica in ("a", "b")
    ]
    expected = [{"eval_time": "110m", "alertname": alert, "exp_alerts": []} for alert in WRONG]
    test: dict[str, Any] = {"interval": "1m", "input_series": series, "alert_rule_test": expected}
    asked = folder / "asked.yaml"
    asked.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    done = promtool("test", "rules", str(asked))
    found = set(re.findall(r"alertname: ?(\w+)", done.stdout + done.stderr))
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return found


def _of_replica(name: str, replica: str) -> str:
    metric, _, labels = name.rstrip("}").partition("{")
    return f"{metric}{{{','.join(filter(None, (labels, REPLICA.format(replica))))}}}"


def test_every_alert_is_one_that_promtool_takes_and_that_is_tried_here() -> None:
    assert promtool("check", "rules", str(RULES)).returncode == 0
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    assert {each["alert"] for group in groups for each in group["rules"]} == WRONG.keys()


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    assert fired(CALM, tmp_path) == set()


@pytest.mark.parametrize("alert", WRONG)
def test_what_is_wrong_fires_its_alert_and_no_other(alert: str, tmp_path: Path) -> None:
    assert fired(CALM | WRONG[alert], tmp_path) == {alert}


def test_a_webhook_that_is_told_less_than_what_ends_fires_too(tmp_path: Path) -> None:
    assert fired(CALM | {'ltx_webhook_waiting{webhook="shop"}': "0+30x120"}, tmp_path) == {"LtxMcpWebhooksWait"}
