"""A film of five shots, ordered in one breath with the film itself; one shot is taken again, and it is joined again."""

from typing import Any

from ltx_mcp.domain.price import to_text
from tests.conversations.agent import Agent
from tests.media.films import Recipe, make

BOAT = (
    "Wide shot of a harbour before dawn; a small red fishing boat rocks at its mooring; the camera stays fixed.",
    "A man in a yellow coat steps on board and unties the rope; the boat begins to drift; the camera stays fixed.",
    "The red boat crosses open water under a low sun; gulls follow it; the camera flies beside it at its height.",
    "The man throws the net in one wide swing; it opens over the water and sinks; the camera stays beside him.",
    "Close-up of his hands that haul the wet net over the rail, silver fish in it; the camera stays fixed.",
)
STILL = "A man in a yellow coat steps on board, sits down and unties the rope; the boat stays where it is."
CAPTIONS = """\
1
00:00:01,000 --> 00:00:05,000
Five in the morning.

2
00:00:33,000 --> 00:00:38,000
Enough for today.
"""
CONTINUED = {1: 0, 3: 2}
"""Which shots begin with the last frame of which."""


async def talk(agent: Agent) -> None:
    """One consent for all; nobody waits between shots and film; what did not change is not ordered again."""
    song = make(agent.folder / "harbour.mp3", Recipe(video=None, audio="mp3", seconds=41))
    agent.hears(
        f"Forty seconds about a fisherman's morning, in five shots, {song.name} under it. "
        "A caption at the start: Five in the morning. And at the end: Enough for today."
    )
    size: dict[str, Any] = {"duration": 8, "resolution": "720p"}
    new = (await agent.calls("estimate_cost", **size, count=3)).real_quotes[0]
    size["provider"] = new["provider"]
    goes_on = (await agent.calls("estimate_cost", operation="image_to_video", **size, count=2)).real_quotes[0]
    total = new["total_usd"] + goes_on["total_usd"]
    agent.says(f"Five shots of 8 s at {new['provider']}, {to_text(total)} USD in all; joining them is free. Shall I?")
    agent.hears("Yes.")

    cap = {"max_cost_usd": new["cost_usd"]}
    jobs: list[str] = []
    for number, prompt in enumerate(BOAT):
        before = CONTINUED.get(number)
        tool, given = ("generate_video", {}) if before is None else ("animate_image", {"image": f"{jobs[before]}#last"})
        key = f"boat-{number + 1}"
        shot = await agent.calls(tool, prompt=prompt, **given, **size, **cap, request_key=key)
        jobs.append(shot.facts["job_id"])
    laid = {"audio": song.name, "captions": CAPTIONS}
    film = await agent.calls("join_videos", videos=jobs, **laid, request_key="boat-film-1")
    assert film.facts["state"] == "queued"
    assert film.facts["cost_usd"] == 0
    assert film.tells("check_job")
    assert len(agent.providers.orders()) == 3

    agent.providers.finish()
    agent.thinks("The film ends when all shots have ended; one look at it shows them all.")
    seen = await agent.calls("check_job", job_id=film.facts["job_id"], wait_seconds=50)
    assert seen.facts["state"] == "succeeded"
    assert seen.has_contact_sheet
    assert seen.facts["sources"] == jobs
    # a frame that two shots share is shown once
    assert seen.facts["duration"] == 40 - len(CONTINUED) / 25
    agent.thinks("The second shot, after 8 s: the boat drifts off before the rope is untied.")
    agent.providers.take_their_time()
    again = await agent.calls(
        "animate_image", prompt=STILL, image=f"{jobs[0]}#last", **size, **cap, request_key="boat-2-take-2"
    )
    assert again.facts["state"] == "running"
    agent.providers.finish()
    looked = await agent.calls("check_job", job_id=again.facts["job_id"], wait_seconds=50)
    assert looked.has_contact_sheet
    agent.thinks("Now it stays. The other four are not made again.")
    retaken = [jobs[0], again.facts["job_id"], *jobs[2:]]
    second = await agent.calls("join_videos", videos=retaken, **laid, request_key="boat-film-2")
    done = await agent.calls("check_job", job_id=second.facts["job_id"], wait_seconds=50)
    assert done.facts["state"] == "succeeded"
    assert done.has_contact_sheet
    assert done.facts["sources"] == retaken
    assert done.tells("order only that again")
    money = await agent.money()
    agent.says(f"{done.facts['duration']:g} s, with one shot taken twice for {to_text(money['spent_usd'])} USD in all.")

    prompts = [each["fields"]["prompt"] for each in agent.providers.orders()]
    assert sorted(prompts) == sorted((*BOAT, STILL))
    assert len(agent.providers.asked_to_order()) == 6
    assert money == {"spent_usd": round(6 * new["cost_usd"], 6), "reserved_usd": 0.0}
