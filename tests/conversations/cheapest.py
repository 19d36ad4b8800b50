"""Cheapest provider: estimate, order, follow, look, show."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent


async def talk(agent: Agent) -> None:
    """What is drawn on this machine costs nothing, but is no LTX video; of the rest the first usable quote is taken."""
    agent.hears("Film a paper boat in the rain, six seconds. Small is fine, and spend as little as you can.")
    estimate = await agent.calls("estimate_cost", resolution="720p")
    cheapest = estimate.real_quotes[0]
    agent.thinks(f"local is a preview drawn here; of the real ones {cheapest['provider']} asks least.")
    prompt = "Close-up of a paper boat that drifts along a gutter in the rain; the camera follows it, low and steady."
    order = {"prompt": prompt, "resolution": "720p", "provider": cheapest["provider"], "model": cheapest["model"]}
    most = cheapest.get("at_most_usd", cheapest["cost_usd"])
    ordered = await agent.calls("generate_video", **order, max_cost_usd=most, request_key="boat-1")
    assert ordered.tells("check_job")

    agent.providers.finish()
    done = await agent.calls("check_job", job_id=ordered.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.tells("video_url")
    assert done.has_contact_sheet
    agent.thinks("The boat is there from the first cell to the last. Is it still in frame at the end?")
    end = await agent.calls("check_job", job_id=ordered.facts["job_id"], frame_at=done.facts["duration"] - 0.5)
    assert len(end.pictures) == 1
    agent.says(
        f"Here it is, {done.facts['duration']:g} s for {to_text(done.facts['cost_usd'])} USD: {done.facts['video_url']}"
    )

    assert [each["provider"] for each in agent.providers.orders()] == [cheapest["provider"]]
    assert (await agent.money())["spent_usd"] == cheapest["cost_usd"] == 0.12
