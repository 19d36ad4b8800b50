"""Which offer is tried after a definite rejection, and why others no longer fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltx_mcp.domain.ceiling import ceiling
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import from_micro, to_text


@dataclass(frozen=True)
class LeftOut:
    """An offer that is not tried, with the sentence that says why."""

    offer: Offer
    message: str


def next_that_fits(
    job: Job, offers: Sequence[Offer], code: ErrorCode, check_budget: Callable[[Offer], None]
) -> tuple[int | None, list[LeftOut]]:
    """The index of the next offer to try, or None. `offers` are the job's own at their newest prices: one that has
    risen is compared again with what the job may cost. `check_budget` raises CallerError."""
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
    """The later offers; not those of the same provider if it refused the account."""
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
