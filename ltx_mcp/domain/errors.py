"""Every error this project raises on purpose, by who can fix it.

Two places catch them: the runner, where they become a job's state, and the server, where they become an isError result.
Any other exception is a bug.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class ErrorCode(StrEnum):
    """Stable codes that callers branch on: never renamed, only added to."""

    INVALID_REQUEST = "invalid_request"
    NOT_SUPPORTED = "not_supported"
    OVER_BUDGET = "over_budget"
    NEEDS_CONFIRMATION = "needs_confirmation"
    JOB_NOT_FOUND = "job_not_found"
    INPUT_FAILED = "input_failed"
    MISSING_KEY = "missing_key"
    KEY_REJECTED = "key_rejected"
    OUT_OF_CREDIT = "out_of_credit"
    RATE_LIMITED = "rate_limited"
    CONTENT_REFUSED = "content_refused"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    BAD_REPLY = "bad_reply"
    OUTCOME_UNKNOWN = "outcome_unknown"
    EXPIRED = "expired"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    STORAGE_FAILED = "storage_failed"
    INTERNAL_ERROR = "internal_error"


class LtxError(Exception):
    """An error with a stable code, our sentence, and what to do next."""

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class CallerError(LtxError):
    """The caller can fix it; the message lists what is allowed."""


class SetupError(LtxError):
    """The operator can fix it; the hint names the setting."""


Accepted = Literal["yes", "no", "unknown"]


class ProviderError(LtxError):
    """A provider refused, failed or sent an invalid response. `accepted`: whether the order may be billed."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        hint: str = "",
        *,
        provider: str,
        accepted: Accepted,
        status_code: int | None = None,
        request_id: str = "",
        detail: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, message, hint)
        self.provider = provider
        self.accepted = accepted
        self.status_code = status_code
        self.request_id = request_id
        self.detail = detail
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class JobError:
    """An error as stored in a job's row and shown to the caller."""

    code: ErrorCode
    message: str
    hint: str = ""
    provider_detail: str = ""

    @classmethod
    def of(cls, error: LtxError) -> "JobError":
        """The record of a raised error; the provider's text and request id are in `provider_detail`."""
        detail = error.detail if isinstance(error, ProviderError) else ""
        if isinstance(error, ProviderError) and error.request_id:
            detail = f"{detail} (request id {error.request_id})".strip()
        return cls(error.code, error.message, error.hint, detail)
