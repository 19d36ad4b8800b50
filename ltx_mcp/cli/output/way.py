"""The way of an order to the provider that takes it, told as it goes: what is ordered where, and why it went on."""

from typing import TYPE_CHECKING

from ltx_mcp.cli.output.text import spoken
from ltx_mcp.domain.job import Job, State
from ltx_mcp.presentation.result_text import order_text

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

TAKEN = frozenset({State.RUNNING, State.SAVING, State.SUCCEEDED})


def placed_text(job: Job, *, is_preview: bool) -> str:
    """What is about to be ordered, or drawn, before anybody is paid."""
    return f"{job.id} {_ordering(job, is_preview=is_preview)}"


def _ordering(job: Job, *, is_preview: bool) -> str:
    return f"{'drawing' if is_preview else 'ordering'}: {order_text(job.offer)}."


class Way:
    """What is new each time a job is looked at, from `job` on: a provider that did not take it, the one that did."""

    def __init__(self, jobs: "Jobs", job: Job) -> None:
        self._jobs = jobs
        self._offer_index = job.offer_index
        self._refusals: int | None = None if job.offer_index else 0
        self._is_taken = job.state in TAKEN

    async def news(self, job: Job) -> list[str]:
        """Sentences that were not told yet."""
        sentences = []
        is_preview = self._jobs.market.facts(job.offer.provider).is_preview
        if self._refusals is None:  # of a job that was under way before
            self._refusals = len(await self._jobs.refusals(job))
        if job.offer_index != self._offer_index:
            refusals = await self._jobs.refusals(job)
            said = (*refusals[self._refusals :], f"Now {_ordering(job, is_preview=is_preview)}")
            sentences.append(spoken(" ".join(said)))
            self._offer_index, self._refusals = job.offer_index, len(refusals)
        if job.state in TAKEN and not self._is_taken:
            self._is_taken = True
            sentences += [] if is_preview else [f"{job.id} ordered: {job.offer.provider} took it."]
        return sentences
