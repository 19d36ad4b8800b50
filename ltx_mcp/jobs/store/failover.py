"""Which offer is tried after a sure no, and what is to be said of those that do not fit any more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.offer import Offer, ceiling
from ltx_mcp.domain.price import from_micro, to_text


@dataclass(frozen=True)
class LeftOut:
    """An offer that is not tried, with the sentence that says why."""

    offer: Offer
    message: str


def next_that_fits(
    job: Job, offers: Sequence[Offer], code: ErrorCode, check_budget: Callable[[Offer], None]
) -> tuple[int | None, list[LeftOut]]:
    """The place of the next offer to try; None where there is none. `offers` are the job's own as they would be held
    now: one that has risen is compared again with what the job may cost. `check_budget` raises CallerError."""
    left_out: list[LeftOut] = []
    for index in _later(job, code):
        offer = offers[index]
        try:
            if offer != job.offers[index]:
                _check_most(job, offer)
            check_budget(offer)
            return index, left_out
        except CallerError as error:
            left_out.append(LeftOut(offer, f"{offer.provider} ({offer.model}) was left out. {error.message}"))
    return None, left_out


def _later(job: Job, code: ErrorCode) -> list[int]:
    """Where the account is what was refused, the same provider is not asked again."""
    account = code in (ErrorCode.KEY_REJECTED, ErrorCode.OUT_OF_CREDIT)
    later = range(job.offer_index + 1, len(job.offers))
    return [index for index in later if not account or job.offers[index].provider != job.offer.provider]


def _check_most(job: Job, offer: Offer) -> None:
    most = ceiling(job.offers) if job.most_micro is None else from_micro(job.most_micro)
    if not offer.fits(most):
        raise CallerError(
            ErrorCode.OVER_BUDGET,
            f"By its newest price it costs {offer.price}, more than the {to_text(most)} USD that this job may cost.",
        )
