"""What becomes of a held price at each end, and how money is rounded: pure rules, each a line."""

from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.catalog import Price, PriceReading
from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import ChargeState, State, charge_after
from ltx_mcp.domain.price import Quantity, floor_micro, highest_price, make_cost, make_price, to_micro


@pytest.mark.parametrize(
    ("state", "error", "accepted", "free", "bill"),
    [
        (State.SUCCEEDED, None, True, False, ChargeState.BOOKED),
        (State.SUCCEEDED, None, True, True, ChargeState.BOOKED),
        (
            State.FAILED,
            ErrorCode.EXPIRED,
            True,
            True,
            ChargeState.BOOKED,
        ),  # it was made, so no failure of the provider's
        (State.FAILED, ErrorCode.REJECTED, True, False, ChargeState.BOOKED),
        (State.FAILED, ErrorCode.REJECTED, True, True, ChargeState.RELEASED),
        (State.FAILED, ErrorCode.REJECTED, False, False, ChargeState.RELEASED),
        (State.CANCELLED, None, True, False, ChargeState.RELEASED),
        (State.UNKNOWN, ErrorCode.OUTCOME_UNKNOWN, True, True, ChargeState.HELD),
        (State.RUNNING, None, True, False, ChargeState.HELD),
    ],
)
def test_a_held_price_ends_as_what_happened_says(
    state: State, error: ErrorCode | None, accepted: bool, free: bool, bill: ChargeState
) -> None:
    assert charge_after(state, error, accepted=accepted, failure_is_free=free) is bill


def test_what_is_held_is_never_less_and_what_is_allowed_never_more() -> None:
    third = Decimal(1) / 3
    assert (to_micro(third), floor_micro(third)) == (333_334, 333_333)
    assert to_micro(Decimal("0.24")) == floor_micro(Decimal("0.24")) == 240_000


SOURCE: dict[str, Any] = {"as_of": "2026-11-29", "source": "a page"}
BY_MEGAPIXEL = Price(**SOURCE, usd_per_megapixel=Decimal("0.002"))


def of_frames(frames: int, spare: int = 0) -> Quantity:
    return Quantity(Decimal(6), "720p", 1280 * 704, frames, spare)


@pytest.mark.parametrize(("frames", "usd"), [(1, "0.002"), (121, "0.220"), (145, "0.262"), (1_000_000, "1802.240")])
def test_every_megapixel_that_was_begun_is_paid(frames: int, usd: str) -> None:
    assert make_price(BY_MEGAPIXEL, of_frames(frames)) == Decimal(usd)


def test_without_frames_there_is_no_price_by_the_megapixel() -> None:
    assert make_cost(BY_MEGAPIXEL, of_frames(0, 8), None) is None


def test_frames_that_the_provider_counts_itself_may_be_some_more() -> None:
    assert highest_price(BY_MEGAPIXEL, of_frames(121)) is None
    assert highest_price(BY_MEGAPIXEL, of_frames(121, 8)) == Decimal("0.234")
    higher = PriceReading(**SOURCE, usd_per_megapixel=Decimal("0.003"))
    both = BY_MEGAPIXEL.model_copy(update={"at_most": higher})
    assert highest_price(both, of_frames(121, 8)) == Decimal("0.351")
