"""How many jobs of one caller are under way, inside somebody's transaction, and whether there may be one more."""

from sqlalchemy import Connection, func, literal_column, select

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs


def check_live(connection: Connection, caller: str, most: int) -> None:
    """Raises CallerError(rate_limited) when `caller` has `most` live jobs or more.

    Those that wait for another job count, those whose outcome is unknown do not: they have ended.
    """
    query = select(jobs.c.state, func.count()).where(jobs.c.caller == caller, literal_column(IS_LIVE))
    counts = {state: number for state, number in connection.execute(query.group_by(jobs.c.state))}
    total = sum(counts.values())
    if total >= most:
        shares = ", ".join(f"{number} {state}" for state, number in sorted(counts.items(), key=lambda each: -each[1]))
        found = "1 job is" if total == 1 else f"{total} jobs are"
        raise CallerError(
            ErrorCode.RATE_LIMITED,
            f"{found} under way ({shares}), and {most} of one caller may be at a time; nothing was ordered.",
            "Wait until some have ended, which list_jobs shows, or end with cancel_job what is not wanted; the "
            "operator may raise LTX_MCP_MAX_LIVE_JOBS.",
        )
