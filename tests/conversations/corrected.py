"""Wrong arguments, put right by what the refusals say and nothing else: `correct` has never seen a schema."""

from typing import Any

from tests.conversations.agent import Agent
from tests.conversations.correct import correct
from tests.conversations.reading import Answer

MAX_ROUNDS = 6


async def talk(agent: Agent) -> None:
    """Two wishes with several mistakes each. Each ends in one order; no mistake reaches a provider."""
    agent.hears("Seven seconds of a windmill, twice as wide as high, 30 frames a second, at fal.")
    windmill = {"prompt": "Wide shot of a windmill that begins to turn; the camera stays fixed.", "provider": "fal"}
    first = await order(agent, windmill | {"duration": 7, "aspect": "2:1", "fps": 30})
    agent.hears("Now the tide coming in, like an old film: 4:3, in 1080, and the camera moves in. I can wait 90 s.")
    tide = {"prompt": "The tide comes in over ribbed sand; the camera moves in slowly.", "provider": "fal.ai"}
    wish = {"camera_motion": "dolly_in", "aspect_ratio": "4:3", "resolution": "1080", "wait": 90}
    agent.providers.finish()
    second = await order(agent, tide | wish)
    first = await agent.calls("check_job", job_id=first.facts["job_id"], wait_seconds=50)
    assert [each.facts["state"] for each in (first, second)] == ["succeeded", "succeeded"]
    agent.says("Both are made, each in the nearest form there is.")

    asked = [(each["fields"]["duration"], each["fields"]["aspect_ratio"]) for each in agent.providers.orders()]
    assert asked == [(6, "16:9"), (6, "16:9")]
    assert agent.providers.asked_to_order() == ["fal", "fal"]


async def order(agent: Agent, arguments: dict[str, Any]) -> Answer:
    """Order until it is taken, changing what the refusal names."""
    for _ in range(MAX_ROUNDS):
        answer = await agent.calls("generate_video", **arguments)
        if not answer.code:
            return answer
        assert answer.code in ("invalid_request", "not_supported"), answer.shown
        arguments, told = correct(arguments, answer.shown)
        assert told, f"Nothing in this says what to change: {answer.shown}"
        agent.thinks("; ".join(told))
    raise AssertionError(f"still refused after {MAX_ROUNDS} rounds: {answer.shown}")
