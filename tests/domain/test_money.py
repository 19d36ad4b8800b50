"""What becomes of a held price at each end, and how money is rounded: pure rules, each a line."""

from decimal import Decimal

import pytest

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import ChargeState, State, charge_after
from ltx_mcp.domain.price import floor_micro, to_micro


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
