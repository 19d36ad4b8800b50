"""Completions for the arguments of prompts and resource templates: models, jobs, days, seconds."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mcp.server import MCPServer
from mcp.types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from ltx_mcp.domain.arguments import ListJobs
from ltx_mcp.domain.catalog import NumberChoices
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.quoting import MAX_SHOWN_CHARS
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.current import current_caller

MAX_VALUES = 100
DAYS = 14
SHOTS = tuple(map(str, range(1, 13)))


def add_completions(server: MCPServer[Any], catalog: Catalog, current_context: Callable[[], AppContext | None]) -> None:
    """Register the handler."""

    # the SDK's decorator has no types
    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        given = (context.arguments if context else None) or {}
        values = _from_catalog(catalog, argument.name, given)
        if values is None:
            values = await _from_jobs(current_context(), argument.name, given)
        # no value is longer than this
        prefix = argument.value[: MAX_SHOWN_CHARS + 1].casefold()
        found = [value for value in dict.fromkeys(values) if value.casefold().startswith(prefix)]
        return Completion(values=found[:MAX_VALUES], total=len(found), has_more=len(found) > MAX_VALUES)


def _from_catalog(catalog: Catalog, name: str, given: dict[str, str]) -> Sequence[str] | None:
    """Values that need no job; None for another argument."""
    rows = [row for facts in catalog.providers for row in facts.offer if not facts.is_preview]
    if name == "model":
        return ["auto", *(row.model for row in rows)]
    if name == "provider":
        return ["auto", *(facts.name for facts in catalog.providers)]
    if name == "duration":
        limits = [limit for row in rows if given.get("model", "auto") in ("auto", row.model) for limit in row.limits]
        listed = {
            value for limit in limits if isinstance(limit.duration, NumberChoices) for value in limit.duration.values
        }
        return [format(value.normalize(), "f") for value in sorted(listed)]
    if name == "shots":
        return SHOTS
    if name == "day":
        today = datetime.now(UTC).date()
        return ["today", *((today - timedelta(days=back)).isoformat() for back in range(DAYS))]
    return None


async def _from_jobs(app_context: AppContext | None, name: str, given: dict[str, str]) -> Sequence[str]:
    """Recent jobs, and seconds of a video; nothing where there are no jobs yet."""
    if app_context is None or name not in ("job_id", "image", "seconds") or not await app_context.has_jobs():
        return ()
    jobs = await app_context.jobs()
    if name == "seconds":
        try:
            job = await jobs.get(given.get("job_id", ""), current_caller())
        except LtxError:
            return ()
        return [str(second) for second in range(int(job.film.duration) + 1)] if job.film else ()
    recent = (await jobs.page(ListJobs(limit=MAX_VALUES), current_caller())).jobs
    if name == "job_id":
        return [name for job in recent for name in (job.set_id, job.take_name or job.id) if name]
    return [f"{job.take_name or job.id}#last" for job in recent if job.live or job.film]
