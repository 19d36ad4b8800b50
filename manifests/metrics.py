"""The metrics of a service as Prometheus calls them, which the dashboard and the alerts speak of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """A metric of the server: `name` is that of OpenTelemetry, `labels` what splits it."""

    name: str
    kind: str
    labels: tuple[str, ...] = ()
    unit: str = ""

    @property
    def prometheus(self) -> str:
        """Its name there: dots become underscores, the unit and the kind are appended."""
        parts = [self.name.replace(".", "_")]
        parts += [{"s": "seconds"}.get(self.unit, self.unit)] if self.unit else []
        parts += ["total"] if self.kind == "counter" else []
        return "_".join(parts)

    @property
    def stored(self) -> frozenset[str]:
        """The names that can be asked for: a histogram has three."""
        if self.kind != "histogram":
            return frozenset({self.prometheus})
        return frozenset(f"{self.prometheus}_{part}" for part in ("bucket", "count", "sum"))


PLACED = Series("ltx.jobs.placed", "counter", ("provider", "operation"))
ENDED = Series("ltx.jobs.ended", "counter", ("provider", "operation", "state"))
LIVE = Series("ltx.jobs.live", "gauge", ("provider", "state"))
UNKNOWN = Series("ltx.jobs.unknown", "gauge", ("provider",))
ACCEPTED = Series("ltx.job.accept.duration", "histogram", ("provider",), "s")
TOOK = Series("ltx.job.duration", "histogram", ("provider", "operation", "state"), "s")
MONEY = Series("ltx.money", "gauge", ("bill",), "USD")
BUDGET = Series("ltx.money.budget", "gauge", (), "USD")
REFUSED = Series("ltx.refusals", "counter", ("code",))
DELIVERED = Series("ltx.webhook.deliveries", "counter", ("webhook", "outcome"))
WAITING = Series("ltx.webhook.waiting", "gauge", ("webhook",))
REPLICAS = Series("ltx.replicas", "gauge")

SERIES = (PLACED, ENDED, LIVE, UNKNOWN, ACCEPTED, TOOK, MONEY, BUDGET, REFUSED, DELIVERED, WAITING, REPLICAS)
