"""Restart in the middle: the server is killed while the film is being made; another one finds the job."""

from tests.conversations.agent import Agent


async def talk(agent: Agent) -> None:
    """The job's id is all that the agent keeps."""
    agent.hears("Snow that settles on a mailbox, at fal.")
    prompt = "Medium shot of a red mailbox; snow settles on it and covers the lid; the camera stays fixed."
    ordered = await agent.calls("generate_video", prompt=prompt, provider="fal", request_key="mailbox-1")
    assert ordered.facts["state"] == "running"

    await agent.loses_its_server()
    await agent.connects()
    agent.thinks("The server is another one now. The job is not: the same id, and no second order.")
    agent.providers.finish()
    done = await agent.calls("check_job", job_id=ordered.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    agent.says(f"Nothing was lost: {done.facts['video_url']}")

    assert len(agent.providers.orders()) == len(agent.providers.asked_to_order()) == 1
    assert await agent.money() == {"spent_usd": 0.24, "reserved_usd": 0.0}
