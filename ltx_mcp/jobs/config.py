"""The configuration of Jobs: plain values, no settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.jobs.callers import CallerLimits, LimitsOf


@dataclass(frozen=True)
class JobsConfig:
    """`folders` may hold inputs; None: no paths are accepted. `lookup` returns the keys and addresses that the catalog
    names. Above `confirm_above_usd` a person must agree; None: never. Without `database_url` the database is a file in
    `home`. Jobs that ended `keep_days` ago are removed; None: never. A caller may have `max_live_jobs` at a time; None:
    any number. Relative paths start at `cwd`; `is_typed`: a person writes them, see `media/paths.py`.
    `limits_by_caller` stand for limits that are not the same for all. `video_store` is the address of the bucket where
    films and inputs are kept; empty: in `home`. `webhooks_file` says who is told of ended jobs; None: nobody, by
    this process."""

    home: Path
    catalog: Catalog
    budget_usd: Decimal | None
    folders: tuple[Path, ...] | None
    lookup: Callable[[str], str] = lambda name: ""
    confirm_above_usd: Decimal | None = None
    database_url: str = field(default="", repr=False)
    keep_days: int | None = None
    max_live_jobs: int | None = None
    cwd: Path | None = None
    is_typed: bool = False
    limits_by_caller: LimitsOf | None = None
    database_connections: int = 8
    video_store: str = ""
    webhooks_file: Path | None = None

    @property
    def limits_of(self) -> LimitsOf:
        """What each caller may order."""
        usual = CallerLimits(max_live_jobs=self.max_live_jobs, confirm_above_usd=self.confirm_above_usd)
        return self.limits_by_caller or (lambda caller: usual)
