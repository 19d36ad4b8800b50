"""Errors for state that cannot be stored: where, and which setting helps."""

from pathlib import Path

from ltx_mcp.domain.errors import ErrorCode, LtxError, SetupError


def _plain(reason: BaseException) -> str:
    return (reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)).rstrip(".")


def storage_failed(path: Path, reason: BaseException, kind: type[SetupError] = SetupError) -> SetupError:
    """The error for a folder that cannot be written: where, why, and which setting helps."""
    return kind(
        ErrorCode.STORAGE_FAILED,
        f"{path} cannot be used: {_plain(reason)}.",
        "Free space or mend its permissions, or set LTX_MCP_HOME to a folder on a local disk that can be written.",
    )


class DatabaseUnavailableError(SetupError):
    """The database is unavailable. What was being written may or may not be there. `where` is for the operator only:
    the place, and the driver's message."""

    where = ""


class BucketUnavailableError(SetupError):
    """The bucket is unavailable. What was being written may or may not be there."""


def is_disk_failure(error: LtxError) -> bool:
    """Whether a folder or the bucket, not the database, could not be written."""
    return error.code is ErrorCode.STORAGE_FAILED and not isinstance(error, DatabaseUnavailableError)
