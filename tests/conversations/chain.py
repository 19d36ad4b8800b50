"""A chain of three shots, ordered in one breath: each begins with the last frame of the one before."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent

SHOTS = (
    "A fox steps out of the reeds and stops at the edge of a frozen pond; the camera stays fixed, low over the ice.",
    "It sets one paw on the ice, then another, and walks out over the pond; the camera follows at its height.",
    "In the middle it turns its head, looks back and runs on into the fog; the camera stays behind.",
)


async def talk(agent: Agent) -> None:
    """Nobody waits between the shots, and no picture passes through the conversation."""
    agent.hears("A fox crosses a frozen pond, in three shots of six seconds that flow into each other.")
    size = {"resolution": "720p"}
    price = await agent.calls("estimate_cost", operation="image_to_video", **size, count=len(SHOTS))
    cheapest = price.real_quotes[0]
    agent.thinks(f"{to_text(cheapest['total_usd'])} USD for all three, at {cheapest['provider']}.")
    size["provider"] = cheapest["provider"]
    first = await agent.calls("generate_video", prompt=SHOTS[0], **size, request_key="fox-1")
    jobs = [first.facts["job_id"]]
    for number, prompt in enumerate(SHOTS[1:], start=2):
        picture = f"{jobs[-1]}#last"
        shot = await agent.calls("animate_image", prompt=prompt, image=picture, **size, request_key=f"fox-{number}")
        assert shot.facts["state"] == "queued"
        assert shot.tells(jobs[-1], "check_job")
        jobs.append(shot.facts["job_id"])
    assert len(agent.providers.orders()) == 1

    agent.providers.finish()
    agent.thinks("The last one ends when all have ended.")
    last = await agent.calls("check_job", job_id=jobs[-1], wait_seconds=50)
    views = [last] + [await agent.calls("check_job", job_id=job) for job in jobs[1::-1]]
    assert [view.facts["sources"] for view in views] == [[jobs[1]], [jobs[0]], []]
    assert all(view.facts["state"] == "succeeded" and view.has_contact_sheet for view in views)
    agent.says(
        f"Three shots for {to_text(sum(view.facts['cost_usd'] for view in views))} USD, in the order you asked for."
    )

    orders = agent.providers.orders()
    assert [each["fields"]["prompt"] for each in orders] == list(SHOTS)
    assert [sorted(each["files"]) for each in orders] == [[], ["image"], ["image"]]
    assert (await agent.money())["spent_usd"] == cheapest["total_usd"] == 0.36
