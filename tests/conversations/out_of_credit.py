"""Out of credit: the first provider surely did not take the order, so the next one is asked."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent


async def talk(agent: Agent) -> None:
    """One call, two providers, one order; it costs what the one asks that took it."""
    agent.providers.go_wrong("bytecompute", "submit", "locked")
    agent.hears("Six seconds of a lighthouse at dusk, please.")
    estimate = await agent.calls("estimate_cost")
    first = estimate.real_quotes[0]
    agent.thinks(
        f"About {to_text(first['cost_usd'])} USD, probably at {first['provider']}; auto may choose, up to 0.3 USD."
    )
    prompt = "Wide shot of a lighthouse on a cliff at dusk, waves far below; the camera rises slowly past the lamp."
    ordered = await agent.calls("generate_video", prompt=prompt, max_cost_usd=0.3, request_key="lighthouse-1")
    provider = ordered.facts["provider"]
    assert ordered.facts["state"] == "running"
    assert ordered.tells(first["provider"], "credit", provider)
    agent.thinks(
        f"{first['provider']} has no credit left; {provider} took it, for {to_text(ordered.facts['cost_usd'])} USD."
    )

    agent.providers.finish()
    done = await agent.calls("check_job", job_id=ordered.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    agent.says(
        f"Made by {provider} for {to_text(done.facts['cost_usd'])} USD, because the account at {first['provider']} "
        f"is out of credit: {done.facts['video_url']}"
    )

    assert agent.providers.asked_to_order() == [first["provider"], provider] == ["bytecompute", "netwrck"]
    assert [each["provider"] for each in agent.providers.orders()] == [provider]
    assert await agent.money() == {"spent_usd": 0.288, "reserved_usd": 0.0}
