"""An upright version of a film: two clips of the user's are joined, and what comes is reframed, in one breath."""

from tests.conversations.agent import Agent
from tests.media.films import Recipe, make


async def talk(agent: Agent) -> None:
    """Joining is free; the upright version is priced by the seconds of the film, before there is one."""
    beach = make(agent.folder / "beach.mp4", Recipe(size=(1280, 720), frames=75, seconds=3))
    dunes = make(agent.folder / "dunes.mp4", Recipe(size=(1280, 720), frames=100, seconds=4, colours=2))
    agent.hears(f"Join {beach.name} and {dunes.name} with a soft transition, and make an upright version for phones.")
    film = await agent.calls(
        "join_videos",
        videos=[beach.name, dunes.name],
        transition="crossfade",
        transition_seconds=0.4,
        request_key="beach-film",
    )
    name = film.facts["job_id"]
    estimate = await agent.calls("estimate_cost", operation="reframe", video=name, aspect_ratio="9:16")
    cheapest = estimate.real_quotes[0]
    assert estimate.tells("6.6 s: the whole video")
    agent.thinks(f"{cheapest['cost_usd']:g} USD at {cheapest['provider']} for its 6.6 s.")
    agent.says(f"The film is free; its upright version costs {cheapest['cost_usd']:g} USD. Shall I order it?")
    agent.hears("Go ahead.")
    upright = await agent.calls(
        "reframe_video", video=name, aspect_ratio="9:16", max_cost_usd=cheapest["cost_usd"], request_key="beach-upright"
    )
    agent.providers.finish()
    wide = await agent.calls("check_job", job_id=name, wait_seconds=50)
    done = await agent.calls("check_job", job_id=upright.facts["job_id"], wait_seconds=50)
    for seen, sources in ((wide, []), (done, [name])):
        assert seen.facts["state"] == "succeeded"
        assert seen.has_contact_sheet
        assert seen.facts["sources"] == sources
        assert abs(seen.facts["duration"] - 6.6) < 0.1
    assert done.tells("1080x1920")
    agent.says(f"Both are there: {wide.facts['video_url']} and, upright, {done.facts['video_url']}")

    assert len(agent.providers.orders()) == len(agent.providers.asked_to_order()) == 1
    assert await agent.money() == {"spent_usd": cheapest["cost_usd"], "reserved_usd": 0.0}
