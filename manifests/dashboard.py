"""The dashboard for Grafana, of the metrics that a service tells.

Each replica reads the gauges from the database that all of them share, so the greatest is taken; counters and
histograms are its own, and are added up.
"""

import json
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from manifests import metrics
from manifests.facts import TITLE, Facts
from manifests.metrics import Series

UID = "ltx-mcp"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
OF_PROVIDER = 'provider=~"$provider"'
GREEN, YELLOW, RED = "green", "yellow", "red"
ONE, HALF, THIRD = 4, 12, 8
"""Of the 24 columns."""
HIGH, LOW = 8, 4

Lines = dict[str, str]
"""Queries by the legend of their lines."""


def dashboard_json(facts: Facts) -> str:
    """The whole file."""
    made = (
        dashboard.Dashboard(f"{TITLE}: {facts.name}")
        .uid(UID)
        .description("Jobs, money and webhooks of a shared service.")
        .tags([facts.name])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_providers())
    )
    numbers = count(1)
    for title, panels in _rows().items():
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(panel.id(next(numbers)))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _providers() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("provider")
        .label("Provider")
        .datasource(SOURCE)
        .query(f"label_values({metrics.PLACED.prometheus}, provider)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _rows() -> dict[str, list[stat.Panel | timeseries.Panel]]:
    live, ended, placed = metrics.LIVE, metrics.ENDED, metrics.PLACED
    failed = _rate(ended, 'state=~"failed|unknown"')
    spent = f"sum(max by (bill) ({metrics.MONEY.prometheus}))"
    budget = f"max({metrics.BUDGET.prometheus})"
    return {
        "Now": [
            _figure("Replicas", "Processes that work on the database.", f"max({metrics.REPLICAS.prometheus})", below=1),
            _figure("Jobs under way", "Not ended yet, of all callers.", _total(live)),
            _figure(
                "Outcomes unknown",
                "Orders that may or may not have been taken: ltx-mcp jobs --caller all --state unknown.",
                _total(metrics.UNKNOWN),
                above=(1, 1),
            ),
            _figure("Spent today", "Held and booked, of the UTC day.", spent, unit="currencyUSD"),
            _figure("Of the budget", "Without a budget: nothing.", f"{spent} / {budget}", "percentunit", (0.8, 0.95)),
            _figure(
                "Webhooks waiting",
                "Ends of jobs that somebody is still to be told.",
                f"sum(max by (webhook) ({metrics.WAITING.prometheus}))",
                above=(1, 100),
            ),
        ],
        "Jobs": [
            _chart(
                "Under way by state",
                "Each replica tells what the database says.",
                {"{{state}}": f"sum by (state) ({_largest(live, 'provider', 'state')})"},
                is_stacked=True,
            ),
            _chart(
                "Under way by provider",
                "The same jobs.",
                {"{{provider}}": f"sum by (provider) ({_largest(live, 'provider', 'state')})"},
                is_stacked=True,
            ),
            _chart(
                "Placed and ended a minute",
                "Where fewer end than are placed, jobs pile up.",
                {"placed": f"60 * sum({_rate(placed)})", "{{state}}": f"60 * sum by (state) ({_rate(ended)})"},
            ),
            _chart(
                "Failures a minute by provider and operation",
                "Ended as failed or unknown.",
                {"{{provider}} {{operation}} {{state}}": f"60 * sum by (provider, operation, state) ({failed})"},
            ),
        ],
        "How long": [
            _chart(
                "Until the provider accepts",
                "From the call to the provider's yes.",
                _quantiles(metrics.ACCEPTED, "provider"),
                unit="s",
            ),
            _chart(
                "A whole job that succeeds",
                "From the call to the film.",
                _quantiles(metrics.TOOK, "provider", "operation", only='state="succeeded"'),
                unit="s",
            ),
        ],
        "Money": [
            _chart(
                "Today",
                "Held for jobs under way, booked for those that ended. It begins anew with each UTC day.",
                {"{{bill}}": f"max by (bill) ({metrics.MONEY.prometheus})", "budget": budget},
                unit="currencyUSD",
            ),
            _chart(
                "Outcomes unknown by provider",
                "Their price stays held until somebody settles them.",
                {"{{provider}}": _largest(metrics.UNKNOWN, "provider")},
            ),
        ],
        "Refused and told": [
            _chart(
                "Refusals a minute by code",
                "Calls that were answered with an error; docs/troubleshooting.md has a word on each.",
                {"{{code}}": f"60 * sum by (code) ({_rate(metrics.REFUSED, of='')})"},
                THIRD,
            ),
            _chart(
                "Webhooks waiting",
                "What each is still to be told.",
                {"{{webhook}}": f"max by (webhook) ({metrics.WAITING.prometheus})"},
                THIRD,
            ),
            _chart(
                "Tries of webhooks a minute",
                "A try that failed is made again; given up and disabled are for good.",
                {"{{webhook}} {{outcome}}": f"60 * sum by (webhook, outcome) ({_rate(metrics.DELIVERED, of='')})"},
                THIRD,
            ),
        ],
    }


def _largest(series: Series, *labels: str) -> str:
    return f"max by ({', '.join(labels)}) ({series.prometheus}{{{OF_PROVIDER}}})"


def _total(series: Series) -> str:
    """Of all replicas' views of a gauge one, and of that the sum."""
    return f"sum({_largest(series, *series.labels)})"


def _rate(series: Series, *also: str, of: str = OF_PROVIDER) -> str:
    chosen = ", ".join(filter(None, (of, *also)))
    return f"rate({series.prometheus}{{{chosen}}}[$__rate_interval])".replace("{}", "")


def _quantiles(series: Series, *labels: str, only: str = "") -> Lines:
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    chosen = ", ".join(filter(None, (OF_PROVIDER, only)))
    counted = f"rate({series.prometheus}_bucket{{{chosen}}}[$__rate_interval])"
    by = ", ".join(("le", *labels))
    return {f"{legend} p{each}": f"histogram_quantile(0.{each}, sum by ({by}) ({counted}))" for each in (50, 95)}


def _figure(
    title: str,
    meaning: str,
    query: str,
    unit: str = "short",
    above: tuple[float, float] | None = None,
    below: float | None = None,
) -> stat.Panel:
    """One number; yellow and red from `above` on, red where it is less than `below`."""
    steps = [models.Threshold(value=None, color=GREEN)]
    if above is not None:
        steps += [models.Threshold(value=each, color=color) for each, color in zip(above, (YELLOW, RED), strict=True)]
    if below is not None:
        steps = [models.Threshold(value=None, color=RED), models.Threshold(value=below, color=GREEN)]
    thresholds = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return (
        stat.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .height(LOW)
        .span(ONE)
        .unit(unit)
        .thresholds(thresholds)
        .reduce_options(last)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .with_target(_query(query, "", "A"))
    )


def _chart(
    title: str, meaning: str, lines: Lines, width: int = HALF, unit: str = "short", *, is_stacked: bool = False
) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
    )
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    panel = timeseries.Panel().title(title).description(meaning).datasource(SOURCE).height(HIGH).span(width)
    panel = panel.unit(unit).min(0).fill_opacity(20 if is_stacked else 0).legend(legend).tooltip(tooltip)
    if is_stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    for number, (name, query) in enumerate(lines.items()):
        panel = panel.with_target(_query(query, name, chr(ord("A") + number)))
    return panel


def _query(expression: str, legend: str, ref_id: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref_id).range().datasource(SOURCE)
