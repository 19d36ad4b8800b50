"""The dashboard and the alerts: Grafana and Prometheus read them, and they ask for what the server tells."""

import json
import re
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from ltx_mcp.domain.job import State
from manifests.make import FOLDER
from manifests.metrics import SERIES
from tests.manifests.conftest import read

DASHBOARD = read("service/grafana/dashboard.json")
PANELS: dict[str, Any] = {each["title"]: each for each in DASHBOARD["panels"] if each["type"] != "row"}
RULES = yaml.safe_load((FOLDER / "service/prometheus/alerts.yaml").read_text(encoding="utf-8"))
ALERTS: dict[str, Any] = {each["alert"]: each for group in RULES["groups"] for each in group["rules"]}
BY_NAME = {name: each for each in SERIES for name in each.stored}
ADDED = {"le"}
"""The label that a histogram's buckets have."""


def queries() -> dict[str, str]:
    asked = {
        f"{title} {each['refId']}": each["expr"].replace("$__rate_interval", "5m")
        for title, panel in PANELS.items()
        for each in panel["targets"]
    }
    return asked | {name: each["expr"] for name, each in ALERTS.items()}


def series_of(query: str) -> set[str]:
    return set(re.findall(r"\bltx_\w+", query))


def test_grafanas_own_models_read_the_dashboard_and_lose_nothing() -> None:
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    assert again == DASHBOARD


@pytest.mark.parametrize("name", queries())
def test_a_query_is_promql_and_asks_for_what_there_is(name: str) -> None:
    query = queries()[name]
    promql_parser.parse(query)
    asked = series_of(query)
    assert asked
    assert asked <= BY_NAME.keys()
    labels = {label for series in asked for label in BY_NAME[series].labels} | ADDED
    grouped = {label.strip() for found in re.findall(r"\bby \(([^)]*)\)", query) for label in found.split(",")}
    matched = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', query))
    assert grouped | matched <= labels


@pytest.mark.parametrize("name", queries())
def test_what_every_replica_tells_alike_is_not_added_up(name: str) -> None:
    """Three replicas that read 10 USD from one database are not 30 USD."""
    query = queries()[name]
    for series in series_of(query):
        if BY_NAME[series].kind == "gauge":
            assert re.search(rf"(max|absent) ?(by \([^)]*\) )?\({series}\b", query), series
        else:
            assert "sum" in query
            assert re.search(rf"(rate|increase)\({series}\b", query), series


def test_every_metric_is_shown() -> None:
    shown = {
        BY_NAME[series] for panel in PANELS.values() for each in panel["targets"] for series in series_of(each["expr"])
    }
    assert shown == set(SERIES)


def test_states_that_are_asked_for_are_states_of_jobs() -> None:
    asked = {
        state
        for query in queries().values()
        for found in re.findall(r'state(?:=~|!~|=)"([^"]+)"', query)
        for state in found.split("|")
    }
    assert asked
    assert asked <= set(State)


def test_all_panels_ask_the_source_that_is_chosen_and_stand_side_by_side() -> None:
    variables = {each["name"]: each["type"] for each in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "provider": "query"}
    taken: set[tuple[int, int]] = set()
    for each in PANELS.values():
        sources = [each["datasource"], *(target["datasource"] for target in each["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        at = each["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, each["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    numbers = [each["id"] for each in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_lines_are_named_by_labels_that_their_query_keeps() -> None:
    for title, panel in PANELS.items():
        for each in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", each["legendFormat"]):
                assert re.search(rf"\bby \([^)]*\b{label}\b", each["expr"]), title


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    for each in ALERTS.values():
        assert each["labels"]["severity"] in ("warning", "critical")
        assert each["annotations"].keys() == {"summary", "description"}
