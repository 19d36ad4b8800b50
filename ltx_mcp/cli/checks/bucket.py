"""The bucket of LTX_MCP_VIDEO_STORE: whether it is there, takes the keys and can sign. Nothing is written."""

from ltx_mcp.cli.checks.finding import Finding, failure, fine
from ltx_mcp.cli.checks.timeouts import within
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.settings import Settings

BUCKET_S = 8.0
MEND = "See that it is there, and that its keys may read, list and write below this address: docs/bucket.md."


async def check_bucket(settings: Settings) -> list[Finding]:
    """One line where there is a bucket."""
    if not settings.bucket:
        return []
    try:
        return [await within(BUCKET_S, _check, settings)]
    except TimeoutError:
        return [failure("bucket", f"{settings.bucket} does not answer within {BUCKET_S:g} s", MEND)]


def _check(settings: Settings) -> Finding:
    import anyio

    from ltx_mcp.jobs.bucket.objects import Objects

    async def read_something() -> None:
        await objects.read("doctor")
        await objects.sign("GET", "doctor")

    try:
        objects = Objects(settings.bucket, settings.lookup)
        anyio.run(read_something)
        next(objects.below(""), None)  # reading from a bucket that is not there finds nothing; listing it fails
    except LtxError as error:
        return failure("bucket", f"{settings.bucket}: {error.message}", MEND)
    return fine("bucket", f"{settings.bucket} can be read")
