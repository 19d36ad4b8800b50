"""Content refused: it is not tried elsewhere; the wish is put in other words, once, under a new key."""

from tests.conversations.agent import Agent


async def talk(agent: Agent) -> None:
    """A filter is not gone around: only the user's harmless wish is said more plainly."""
    agent.providers.go_wrong("bytecompute", "submit", "content")
    agent.hears("A photographer shoots a heron at the lake.")
    prompt = "Medium shot of a photographer in the reeds who shoots a heron at the lake at dawn."
    refused = await agent.calls("generate_video", prompt=prompt, request_key="heron-1")
    assert refused.code == "content_refused"
    assert refused.tells("prompt", "request_key", "It costs nothing")
    assert agent.providers.asked_to_order() == ["bytecompute"]
    assert await agent.money() == {"spent_usd": 0.0, "reserved_usd": 0.0}

    agent.thinks('"Shoots" may have been read as harm; the user means a photograph. One other wording, and no third.')
    plainer = "Medium shot of a photographer in the reeds who takes a picture of a heron at the lake at dawn."
    ordered = await agent.calls("generate_video", prompt=plainer, request_key="heron-2")
    assert ordered.facts["job_id"] != refused.facts["job_id"]
    agent.providers.finish()
    done = await agent.calls("check_job", job_id=ordered.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    agent.says(f"The first wording was refused, which cost nothing; this one was not: {done.facts['video_url']}")

    assert [each["fields"]["prompt"] for each in agent.providers.orders()] == [plainer]
    assert await agent.money() == {"spent_usd": 0.24, "reserved_usd": 0.0}
