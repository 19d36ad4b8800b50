"""Unknown outcome: the order's answer is cut off on the wire, and a person settles what became of it."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent


async def talk(agent: Agent) -> None:
    """The agent orders nothing again; what it says comes from the answer; a person looks, and the film is not lost."""
    agent.providers.go_wrong("fal", "submit", "drop_after")
    agent.hears("A candle that is blown out, six seconds, at fal.")
    prompt = "Close-up of a candle; a breath bends the flame and puts it out; smoke curls up; the camera stays fixed."
    ordered = await agent.calls("generate_video", prompt=prompt, provider="fal", request_key="candle-1")
    job = ordered.facts["job_id"]
    assert ordered.facts["state"] == "unknown"
    assert ordered.facts["error"]["code"] == "outcome_unknown"
    assert ordered.tells("order it again", f"ltx-mcp jobs resolve {job}")
    looked = await agent.calls("check_job", job_id=job)
    assert looked.tells("outcome_unknown", "order it again")
    assert await agent.money() == {"spent_usd": 0.0, "reserved_usd": 0.36}
    agent.says(
        f"fal may or may not have taken the order ({to_text(looked.facts['at_most_usd'])} USD, kept aside for now). "
        f"I will not order it again. Please look at fal's dashboard, then settle it with: ltx-mcp jobs resolve {job}"
    )

    agent.hears("It is there, and running.")
    (taken,) = agent.providers.orders()
    agent.providers.finish()
    await agent.person_runs("jobs", "adopt", "fal", taken["id"], "--job", job)
    done = await agent.calls("check_job", job_id=job, wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    agent.says(f"It was taken after all, once: {done.facts['video_url']}")

    assert len(agent.providers.orders()) == len(agent.providers.asked_to_order()) == 1
    assert await agent.money() == {"spent_usd": 0.24, "reserved_usd": 0.0}
