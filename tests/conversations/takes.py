"""Three takes of one shot: one is refused for its content, one is chosen after looking, and goes on."""

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent

PROMPT = (
    "Low shot of a dancer who turns once under a street lamp in the rain, and stops; the camera circles her slowly."
)


async def talk(agent: Agent) -> None:
    """One call, one price, three orders; what is not chosen needs nothing, what was refused is not ordered again."""
    agent.providers.go_wrong("bytecompute", "submit", "content")
    agent.hears("A dancer under a street lamp, six seconds. Give me three to choose from, for a dollar at most.")
    estimate = await agent.calls("estimate_cost", count=3)
    cheapest = estimate.real_quotes[0]
    agent.thinks(f"{to_text(cheapest['total_usd'])} USD for three at {cheapest['provider']}: within the dollar.")
    ordered = await agent.calls(
        "generate_video", prompt=PROMPT, takes=3, max_cost_usd=1, request_key="dancer-1", wait_seconds=0
    )
    states = {take["take"]: take["state"] for take in ordered.facts["takes"]}
    assert sorted(states.values()) == ["failed", "running", "running"]
    assert ordered.facts["cost_usd"] == cheapest["total_usd"] == 0.72
    refused = next(take for take, state in states.items() if state == "failed")
    agent.calls_take(refused, 2)  # the others keep their order
    assert ordered.tells("content_refused", "check_job", "do not order them again")

    agent.providers.finish()
    agent.thinks("One was refused for its content; the other two are on their way.")
    name = ordered.facts["job_id"]
    done = await agent.calls("check_job", job_id=name, wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    made = [take for take in done.facts["takes"] if take["state"] == "succeeded"]
    assert len(made) == 2
    assert done.tells(
        "Those not chosen need nothing", "costs nothing", "0.48 USD is charged", *(take["video_url"] for take in made)
    )
    chosen = f"{name}/{made[-1]['take']}"
    agent.thinks("In the lower row she stops in the light, in the other one outside of it. The lower one.")
    agent.says(f"Two of three came; I like this one: {made[-1]['video_url']}")

    agent.hears("Yes, that one. And let her walk away at the end.")
    agent.providers.take_their_time()
    longer = await agent.calls(
        "extend_video", video=chosen, duration=5, context=2, prompt="She walks away into the dark.", max_cost_usd=1
    )
    assert longer.facts["state"] == "running"
    agent.providers.finish()
    after = await agent.calls("check_job", job_id=longer.facts["job_id"], wait_seconds=50)
    assert after.facts["state"] == "succeeded"
    assert len(after.facts["sources"]) == 1
    agent.says(f"Here she leaves: {after.facts['video_url']}")

    assert agent.providers.asked_to_order()[:3] == ["bytecompute"] * 3
    assert len(agent.providers.asked_to_order()) == 4
    assert [each["fields"].get("prompt") for each in agent.providers.orders()[:2]] == [PROMPT] * 2
    assert len(agent.providers.orders()) == 3
    assert await agent.money() == {"spent_usd": 1.18, "reserved_usd": 0.0}
