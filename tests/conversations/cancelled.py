"""Cancel: while it waits in line at the provider, before it was sent, and while it is being made."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent


async def talk(agent: Agent) -> None:
    """What was stopped or never sent costs nothing; a provider that is at work can only be asked to stop."""
    agent.providers.keep_in_line()
    agent.hears("A market at noon, six seconds, at fal. ... No, forget it.")
    market = await agent.calls("generate_video", prompt="A market at noon, seen from above.", provider="fal")
    stopped = await agent.calls("cancel_job", job_id=market.facts["job_id"])
    assert (stopped.facts["state"], stopped.facts["cancel"]) == ("cancelled", "stopped")
    assert stopped.tells("it costs nothing")

    agent.providers.begin_work()
    agent.hears("Rather the harbour in the morning, and a second shot that goes on from there. ... No, stop both.")
    harbour = await agent.calls("generate_video", prompt="A harbour in the morning; boats leave.", provider="fal")
    picture = f"{harbour.facts['job_id']}#last"
    noon = await agent.calls("animate_image", prompt="The light turns to noon.", image=picture, provider="fal")
    never_sent = await agent.calls("cancel_job", job_id=noon.facts["job_id"])
    assert (never_sent.facts["state"], never_sent.facts["cancel"]) == ("cancelled", "never_sent")
    assert never_sent.tells("costs nothing")
    asked = await agent.calls("cancel_job", job_id=harbour.facts["job_id"])
    assert (asked.facts["state"], asked.facts["cancel"]) == ("running", "asked")
    assert asked.tells("asked", "may still be charged (0.24 USD, at most 0.36)", "check_job")

    agent.thinks("Two are off. fal already works on the harbour and was asked to stop: follow it to its end.")
    agent.providers.finish()
    done = await agent.calls("check_job", job_id=harbour.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.tells("fal was asked to stop; it is charged (0.24 USD)")
    assert done.has_contact_sheet
    agent.says(
        f"The harbour was made all the same, for {to_text(done.facts['cost_usd'])} USD, and is kept: "
        f"{done.facts['video_url']}"
    )

    assert [each["fields"]["prompt"] for each in agent.providers.orders()] == [
        "A market at noon, seen from above.",
        "A harbour in the morning; boats leave.",
    ]
    assert await agent.money() == {"spent_usd": 0.24, "reserved_usd": 0.0}
