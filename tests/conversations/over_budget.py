"""Budget refusal: the day's limit is read from the refusal, and something that fits is chosen."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent

SETTINGS = {"LTX_MCP_BUDGET_USD_PER_DAY": "0.15"}
SMALLER = {"resolution": "720p"}


async def talk(agent: Agent) -> None:
    """Six seconds at 1080p are refused; the length matters to the user, so the picture gets smaller. A second film
    does not fit at any size, and nothing tries to.
    """
    agent.hears("Six seconds of a night train crossing a bridge. It must not be shorter.")
    prompt = "Wide shot of a night train that crosses an iron bridge from left to right; the camera stays fixed."
    refused = await agent.calls("generate_video", prompt=prompt, request_key="train-1")
    assert refused.code == "over_budget"
    assert not agent.providers.asked_to_order()

    estimate = await agent.calls("estimate_cost", **SMALLER)
    left, fits = estimate.facts["budget"]["left_usd"], estimate.real_quotes[0]
    assert refused.tells(f"{to_text(left)} USD")
    assert fits["cost_usd"] <= left
    agent.thinks(f"{to_text(left)} USD are left today; at 720p the whole length costs {to_text(fits['cost_usd'])} USD.")
    order = {"prompt": prompt, **SMALLER, "max_cost_usd": left}
    ordered = await agent.calls("generate_video", **order, request_key="train-2")
    assert ordered.facts["state"] == "running"
    agent.providers.finish()
    done = await agent.calls("check_job", job_id=ordered.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet

    agent.hears("Good. The same from the other side of the river, too.")
    other = "Wide shot from the far bank: a night train crosses an iron bridge; the camera stays fixed."
    second = await agent.calls("generate_video", prompt=other, **SMALLER, request_key="train-3")
    assert second.code == "over_budget"
    assert second.tells("0.03 USD", "LTX_MCP_BUDGET_USD_PER_DAY")
    agent.says("That one does not fit today: 0.03 USD are left. It can be made tomorrow, or with a higher limit.")

    assert len(agent.providers.orders()) == len(agent.providers.asked_to_order()) == 1
    assert await agent.money() == {"limit_usd": 0.15, "spent_usd": 0.12, "reserved_usd": 0.0, "left_usd": 0.03}
