"""Duplicate after a timeout: the call is cut off, and repeated with the same request_key."""

from tests.conversations.agent import Agent

SLOW_S = 2.0


async def talk(agent: Agent) -> None:
    """The order is on its way when the host stops waiting; the repeat finds its job."""
    agent.providers.go_wrong("fal", "submit", "delay", seconds=SLOW_S)
    agent.hears("A kettle that begins to boil, six seconds, at fal.")
    prompt = "Close-up of a kettle on a stove; steam rises, the lid begins to rattle; the camera stays fixed."
    order = {"prompt": prompt, "provider": "fal", "request_key": "kettle-1"}
    await agent.calls_but_is_cut_off("generate_video", **order)
    agent.thinks("I do not know whether it was ordered. The same call with the same request_key cannot order twice.")
    repeated = await agent.calls("generate_video", **order)
    assert repeated.facts["state"] == "running"
    assert repeated.tells("request_key", "check_job")

    agent.providers.finish()
    done = await agent.calls("check_job", job_id=repeated.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    agent.says(f"The answer got lost on the way, the order did not: {done.facts['video_url']}")

    assert len(agent.providers.orders()) == len(agent.providers.asked_to_order()) == 1
    assert await agent.money() == {"spent_usd": 0.24, "reserved_usd": 0.0}
