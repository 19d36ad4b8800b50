"""Other callers of a chaos run: they have teams and budgets of their own, and place their jobs past the servers, which
carry them out like all others."""

import random
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.store.budget import scope_of_caller, scope_of_team
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers

TEAM_OF = {"token|ann": "red", "token|bob": "red", "token|eve": "blue"}
PART, CANCELLED = 3, 0.2
"""They order one film for so many of the other callers."""
PRICE = Decimal("0.36")
OWN, OF_TEAM = Decimal("0.3"), Decimal("0.5")
"""Their budgets, as parts of what all their orders together may cost."""


@dataclass
class OtherCallers:
    """All of them, with what each was refused for."""

    home: Path
    url: str
    settings: Mapping[str, str]
    budget_usd: Decimal
    orders: int
    rng: random.Random
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def most_usd(self) -> Decimal:
        """What their orders may cost together."""
        return self.orders * PRICE

    def limits_of(self, caller: str) -> CallerLimits:
        """A budget for each and for each team, too small for all that they want."""
        own, of_team = (round(self.most_usd * part, 2) for part in (OWN, OF_TEAM))
        return CallerLimits(TEAM_OF[caller], own, of_team)

    @property
    def limits(self) -> dict[str, int]:
        """The budget of each scope in micro-dollars."""
        found: dict[str, int] = {}
        for caller, team in TEAM_OF.items():
            limits = self.limits_of(caller)
            assert limits.budget_usd is not None
            assert limits.team_budget_usd is not None
            found[scope_of_caller(caller)] = to_micro(limits.budget_usd)
            found[scope_of_team(team)] = to_micro(limits.team_budget_usd)
        return found

    async def run(self, seconds: float) -> None:
        """Order one film after the other, spread over the time."""
        catalog = make_catalog(read_providers(), (), lambda name: self.settings.get(name, ""))
        with closing(await anyio.to_thread.run_sync(Database.open, self.home, self.url)) as database:
            store = Store(database, budget_usd=self.budget_usd, limits_of=self.limits_of)
            began = anyio.current_time()
            times = sorted(self.rng.uniform(0, seconds) for _ in range(self.orders))
            for number, at_s in enumerate(times):
                await anyio.sleep_until(began + at_s)
                await self._order(store, catalog, number)

    async def _order(self, store: Store, catalog: Catalog, number: int) -> None:
        caller = self.rng.choice(sorted(TEAM_OF))
        try:
            new = _wish(catalog, caller, number)
            job = (await store.run_in_thread(store.place, new, datetime.now(UTC))).job
            if self.rng.random() < CANCELLED:
                await store.run_in_thread(store.request_cancel, caller, job.id, datetime.now(UTC))
        except LtxError as error:
            self.refused[str(error.code)] += 1


def _wish(catalog: Catalog, caller: str, number: int) -> NewJob:
    words = f"Order {number} of {caller}: a harbour in the fog"
    request = to_request(GenerateVideo(prompt=words, provider="fal", generate_audio=False))
    offers = select_offers(request, (), catalog)
    return NewJob(caller, "", canonical_form(request, ()), offers, (), team=TEAM_OF[caller])
