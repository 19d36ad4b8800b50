"""The metrics of a service as Prometheus calls them, which the dashboard and the alerts speak of."""

from dataclasses import dataclass

from ltx_mcp import telemetry


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


_FOUND = {each.name: Series(each.name, each.kind, each.attributes, each.unit) for each in telemetry.METRICS}
SERIES = tuple(_FOUND.values())

PLACED, ENDED, LIVE = _FOUND[telemetry.PLACED], _FOUND[telemetry.ENDED], _FOUND[telemetry.LIVE]
UNKNOWN, ACCEPTED, TOOK = _FOUND[telemetry.UNKNOWN], _FOUND[telemetry.ACCEPTED], _FOUND[telemetry.TOOK]
MONEY, BUDGET, REFUSED = _FOUND[telemetry.MONEY], _FOUND[telemetry.BUDGET], _FOUND[telemetry.REFUSED]
DELIVERED, WAITING, REPLICAS = _FOUND[telemetry.DELIVERED], _FOUND[telemetry.WAITING], _FOUND[telemetry.REPLICAS]
