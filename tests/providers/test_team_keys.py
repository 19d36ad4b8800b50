"""Teams with keys of their own: every call about an order is made with the key that its row names, and no other."""

import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.confirmation import ConfirmationRequiredError
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.job import CancelOutcome, Job, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.jobs.recovery import Resolution
from tests.providers.bench import Bench, image, opened, text
from tests.providers.clips import Clips
from tests.providers.test_secrets import check, columns_of, files_of

pytestmark = pytest.mark.anyio

A, B, REST = "token|anna", "token|bert", "token|carl"
TEAMS = """
[team.a]
members = ["token|anna"]
fal_key_env = "TEAM_A_FAL"
ltx_key_env = "TEAM_A_LTX"

[team.b]
members = ["token|bert"]
fal_key_env = "TEAM_B_FAL"
"""
NAMES = ("TEAM_A_FAL", "TEAM_A_LTX", "TEAM_B_FAL")


@pytest.fixture
def env(emulated: tuple[str, EmulatorState]) -> Iterator[dict[str, str]]:
    """Three keys of teams, made for this test, which the emulator knows."""
    world = emulated[1]
    world.reset()
    keys = {name: f"{secrets.token_hex(8)}:{secrets.token_hex(16)}" for name in NAMES}
    world.accounts = dict(keys)
    yield keys
    world.accounts = {}
    world.reset()


@pytest.fixture
def callers(tmp_path: Path) -> Path:
    path = tmp_path / "callers.toml"
    path.write_text(TEAMS, encoding="utf-8")
    return path


def accounts_of(bench: Bench, job: Job) -> set[str]:
    """Whose key came with the calls about this job's order, which its id names."""
    assert job.provider_ref is not None
    (order,) = [each for each in bench.world.orders if each.id in str(job.provider_ref)]
    asked = {call.account for call in bench.world.calls if order.id in call.path}
    assert asked, "nobody asked about it"
    return asked | {order.account}


async def test_each_order_is_paid_and_followed_with_the_key_of_its_team(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers) as bench:
        placed = {
            ("TEAM_A_FAL", "a"): await bench.place(text(provider="fal"), A),
            ("TEAM_B_FAL", "b"): await bench.place(text(provider="fal"), B),
            ("", ""): await bench.place(text(provider="fal"), REST),
            ("TEAM_A_LTX", "a"): await bench.place(text(provider="ltx"), A),
            ("", "b"): await bench.place(text(provider="ltx"), B),  # it names no key there: the operator's
        }
        for (account, team), job in placed.items():
            ended = await bench.end(job)
            assert (ended.state, ended.account, ended.team) == (State.SUCCEEDED, account, team)
            assert accounts_of(bench, ended) == {account}


async def test_a_job_is_finished_with_its_key_after_a_restart_and_a_change_of_the_file(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.work_s = 3600
        jobs = [await bench.until(await bench.place(text(provider="fal"), caller), "running") for caller in (A, REST)]
    callers.write_text(TEAMS.replace("TEAM_A_FAL", "TEAM_B_FAL"), encoding="utf-8")
    async with opened(home, emulated, env=env, callers=callers) as bench:
        ended = [await bench.end(job) for job in jobs]
        assert [job.state for job in ended] == [State.SUCCEEDED] * 2
        assert [accounts_of(bench, job) for job in ended] == [{"TEAM_A_FAL"}, {""}]
        moved = await bench.order(text(provider="fal", prompt="the next one"), A)
        assert accounts_of(bench, moved) == {"TEAM_B_FAL"}


async def test_a_change_of_the_file_counts_for_the_next_order_only(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.work_s = 3600
        before = await bench.until(await bench.place(text(provider="fal"), A), "running")
        callers.write_text("", encoding="utf-8")
        after = await bench.until(await bench.place(text(provider="fal", prompt="later"), A), "running")
        bench.world.work_s = 0
        for job, account in ((before, "TEAM_A_FAL"), (after, "")):
            assert accounts_of(bench, await bench.end(job)) == {account}


async def test_a_process_without_the_variable_leaves_the_job_to_others_and_says_why(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.work_s = 3600
        job = await bench.until(await bench.place(text(provider="fal"), A), "running")
    calls = len(emulated[1].calls)
    async with opened(home, emulated, env=env | {"TEAM_A_FAL": ""}, callers=callers) as bench:
        own = await bench.order(text(provider="fal"), REST)
        left = await bench.jobs.get(job.id, A)
        assert (own.state, left.state, left.lease_owner) == (State.SUCCEEDED, State.RUNNING, "")
        assert bench.jobs.blocked_reason(left) == "fal needs TEAM_A_FAL."
        assert "TEAM_A_FAL" not in {call.account for call in bench.world.calls[calls:]}
        ownerless = await bench.jobs.ownerless()
        assert ownerless.able == ()
    async with opened(home, emulated, env=env, callers=callers) as bench:
        assert accounts_of(bench, await bench.end(job)) == {"TEAM_A_FAL"}


async def test_a_cancellation_goes_out_with_the_key_of_the_job(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.wait_s = 3600
        job = await bench.until(await bench.place(text(provider="fal"), A), "running")
        await bench.jobs.cancel(job.id, A)
        ended = await bench.end(job)
        assert (ended.state, ended.cancel) == (State.CANCELLED, CancelOutcome.STOPPED)
        assert accounts_of(bench, ended) == {"TEAM_A_FAL"}


async def test_the_next_provider_is_paid_by_the_same_team(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers, providers=("fal", "ltx")) as bench:
        bench.world.faults.append(Fault("fal", "submit", "locked"))
        job = await bench.order(text(max_cost_usd=5), A)
        assert (job.state, job.offer.provider, job.account) == (State.SUCCEEDED, "ltx", "TEAM_A_LTX")
        assert [order.account for order in bench.orders()] == ["TEAM_A_LTX"]


async def test_no_other_account_pays_where_that_of_the_team_is_not_known(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers, providers=("fal", "ltx")) as bench:
        bench.world.faults.append(Fault("fal", "submit", "locked"))
        job = await bench.place(text(max_cost_usd=5), A)
        callers.write_text("", encoding="utf-8")  # before the order can be turned away
        ended = await bench.end(job)
        assert (ended.state, bench.orders()) == (State.FAILED, [])
        assert ended.error is not None
        assert "It is not known here whether team a has an account at ltx." in ended.error.message


async def test_a_team_orders_where_the_operator_has_no_key_and_nobody_else_does(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    none = dict.fromkeys(("FAL_KEY", "LTX_API_KEY", "NETWRCK_API_KEY", "BYTECOMPUTE_API_KEY"), "")
    async with opened(home, emulated, env=env | none, callers=callers) as bench:
        assert accounts_of(bench, await bench.order(text(), B)) == {"TEAM_B_FAL"}
        reasons = [why for offer, why in (await bench.jobs.quotes(EstimateCost(), REST)).unusable]
        assert any("fal needs FAL_KEY." in why for why in reasons)
        assert (await bench.order(text(), REST)).offer.is_preview


async def test_a_team_whose_variable_is_not_set_is_told_so_and_nobody_pays_for_it(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env | {"TEAM_B_FAL": ""}, callers=callers) as bench:
        with pytest.raises(LtxError, match=r"fal needs TEAM_B_FAL\."):
            await bench.place(text(provider="fal"), B)
        whys = {offer.provider: why for offer, why in (await bench.jobs.quotes(EstimateCost(), B)).unusable}
        assert whys == {"fal": "fal needs TEAM_B_FAL."}
        assert bench.orders() == []


async def test_only_the_callers_own_providers_can_be_ordered_from(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    callers.write_text(f'[default]\nproviders = ["ltx"]\n{TEAMS}', encoding="utf-8")
    async with opened(home, emulated, env=env, callers=callers) as bench:
        assert (await bench.order(text(), REST)).offer.provider == "ltx"
        with pytest.raises(LtxError, match="fal is not for this caller"):
            await bench.place(text(provider="fal"), REST)
        assert (await bench.order(text(provider="fal"))).state is State.SUCCEEDED  # the operator


async def test_each_caller_has_a_price_above_which_a_person_must_agree(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    callers.write_text('[default]\nconfirm_above_usd = 0.1\n[caller."token|anna"]\nconfirm_above_usd = "none"')
    async with opened(home, emulated, env=env, callers=callers) as bench:
        with pytest.raises(ConfirmationRequiredError, match=r"Above 0\.10 USD \(LTX_MCP_CALLERS_FILE\)"):
            await bench.place(text(provider="fal"), REST)
        assert (await bench.order(text(provider="fal"), A)).state is State.SUCCEEDED


async def test_the_last_dollar_of_a_team_is_spent_once(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    callers.write_text('[team.a]\nmembers = ["token|*"]\nbudget_usd_per_day = 1.00\n[team.a.each]\nmax_live_jobs = 9')
    placed: list[Job] = []
    refused: list[CallerError] = []
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.work_s = 3600

        async def order(n: int) -> None:
            try:
                placed.append(await bench.place(text(provider="fal", prompt=f"pond {n}"), f"token|user{n}"))
            except CallerError as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(order, n)
        team = (await bench.jobs.budgets("token|user0")).team
        assert team is not None
        assert {error.code for error in refused} == {ErrorCode.OVER_BUDGET}
        prices = [job.held_micro for job in placed]  # the first ones may be placed before fal told its prices
        assert team.held == sum(prices) <= 1_000_000 < sum(prices) + max(prices)


async def test_no_key_of_a_team_is_written_down(
    home: Path,
    emulated: tuple[str, EmulatorState],
    env: dict[str, str],
    callers: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.faults.append(Fault("fal", "submit", "status", 1, {"status": 500, "message": env["TEAM_A_FAL"]}))
        unknown = await bench.order(text(provider="fal"), A)
        assert unknown.state is State.UNKNOWN
        await bench.order(text(provider="ltx"), A)
        await bench.jobs.person.resolve(unknown.id, Resolution.RETRY)
        assert (await bench.end(await bench.jobs.get(unknown.id, A))).account == "TEAM_A_FAL"
    logged = [("log", record.getMessage().encode()) for record in caplog.records]
    check([*columns_of(home), *files_of(home), *logged], env.values())


async def test_the_places_of_one_team_at_a_provider_are_not_those_of_another(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    one_place = 'name = "ltx"\nslots = 1'
    async with opened(home, emulated, env=env, callers=callers, overlay=one_place) as bench:
        bench.world.work_s = 3600
        ours = [await bench.place(text(provider="ltx", prompt=f"pond {n}"), A) for n in range(2)]
        await bench.until(ours[0], "running")
        theirs = await bench.until(await bench.place(text(provider="ltx"), REST), "running")
        waiting = await bench.jobs.get(ours[1].id, A)
        assert (waiting.state, await bench.jobs.queue_ahead(waiting)) == (State.QUEUED, 1)
        assert theirs.account == ""


async def test_what_one_account_uploaded_is_not_used_by_another(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path, clips: Clips
) -> None:
    async with opened(home, emulated, env=env, callers=callers, folders=(Path("/"),)) as bench:
        for number, caller in enumerate((A, A, REST)):
            asked = image(clips.path("wide.png"), provider="fal", prompt=f"it moves, {number}")
            assert (await bench.order(asked, caller)).state is State.SUCCEEDED
        uploads = [call.account for call in bench.world.calls if (call.provider, call.step) == ("fal", "upload")]
        assert uploads == ["TEAM_A_FAL", ""]


async def test_a_person_adopts_an_order_of_a_team_with_its_key(
    home: Path, emulated: tuple[str, EmulatorState], env: dict[str, str], callers: Path
) -> None:
    async with opened(home, emulated, env=env, callers=callers) as bench:
        bench.world.faults.append(Fault("fal", "submit", "drop_after"))
        unknown = await bench.order(text(provider="fal"), A)
        (order,) = bench.orders("fal")
        assert (unknown.state, order.account) == (State.UNKNOWN, "TEAM_A_FAL")
        adopted = await bench.jobs.person.adopt("fal", order.id, unknown.id)
        ended = await bench.end(adopted)
        assert ended.state is State.SUCCEEDED
        assert accounts_of(bench, ended) == {"TEAM_A_FAL"}
