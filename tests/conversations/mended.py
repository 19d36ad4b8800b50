"""A picture becomes a film: animated, made longer twice, and mended in the middle. No bytes pass through the model."""

from pathlib import Path

from PIL import Image, ImageDraw

from tests.conversations.agent import Agent

WAKES = "A lighthouse at dusk; its lamp wakes and begins to turn, the sea below is calm; the camera stays fixed."
STORM = "Clouds draw in from the left and the first waves break against the rocks; the camera stays fixed."
NIGHT = "It is night now, rain falls through the turning beam, thunder rolls far away; the camera stays fixed."
SHIP = "A small ship with lit windows crosses the horizon from right to left under the beam."


async def talk(agent: Agent) -> None:
    """Each film is named by the job that made it, before it is done; the prices are known before it is ordered."""
    picture = _paint(agent.folder / "lighthouse.png")
    agent.hears(f"Bring {picture.name} to life, fifteen seconds from dusk to a stormy night. A ship should pass once.")
    first = await agent.calls("estimate_cost", operation="image_to_video", provider="fal")
    longer = await agent.calls("estimate_cost", operation="extend", duration=5, context=2, provider="fal")
    assert longer.tells("7 s: 5 new, 2 of context")
    fal = {"provider": "fal"}
    shot = await agent.calls("animate_image", prompt=WAKES, image=picture.name, **fal, request_key="light-1")
    jobs = [shot.facts["job_id"]]
    extension = {"duration": 5, "context": 2, **fal}
    for number, (prompt, seconds) in enumerate(((STORM, 5), (NIGHT, 4)), start=2):
        extension["duration"] = seconds
        grown = await agent.calls(
            "extend_video", video=jobs[-1], prompt=prompt, **extension, request_key=f"light-{number}"
        )
        assert grown.tells(jobs[-1])
        jobs.append(grown.facts["job_id"])
    agent.thinks("A retake is charged for the whole film, so its price first.")
    mend = await agent.calls("estimate_cost", operation="retake", video=jobs[-1], **fal)
    assert mend.tells("15 s: the whole video, not only the section")
    section = {"start_time": 7, "duration": 3, "mode": "replace_video"}
    mended = await agent.calls("retake_video", video=jobs[-1], prompt=SHIP, **section, **fal, request_key="light-4")
    jobs.append(mended.facts["job_id"])
    assert len(agent.providers.orders()) == 1

    agent.providers.finish()
    for job in jobs:
        film = await agent.calls("check_job", job_id=job, wait_seconds=50)
        assert film.facts["state"] == "succeeded", film.facts
        assert film.has_contact_sheet
    assert abs(film.facts["duration"] - 15) < 0.2
    page = await agent.calls("list_jobs", limit=3)
    listed = page.facts["jobs"]
    listed += (await agent.calls("list_jobs", limit=3, cursor=page.facts["next_cursor"])).facts["jobs"]
    agent.says(f"{film.facts['duration']:g} s, {sum(row['cost_usd'] for row in listed):.2f} USD for four orders.")

    assert [row["sources"] for row in reversed(listed)] == [[], [jobs[0]], [jobs[1]], [jobs[2]]]
    assert [row["operation"] for row in reversed(listed)] == ["image_to_video", "extend", "extend", "retake"]
    prices = [first.real_quotes[0], longer.real_quotes[0], None, mend.real_quotes[0]]
    assert [quote["cost_usd"] for quote in prices if quote] == [0.36, 0.7, 1.5]
    assert [row["cost_usd"] for row in reversed(listed)] == [0.36, 0.7, 0.6, 1.5]
    assert (await agent.money())["spent_usd"] == 3.16


def _paint(path: Path) -> Path:
    image = Image.new("RGB", (1280, 720), (52, 62, 92))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 520, 1280, 720), fill=(28, 46, 66))
    draw.polygon(((560, 560), (700, 560), (665, 220), (595, 220)), fill=(226, 220, 208))
    draw.rectangle((590, 170, 670, 220), fill=(240, 196, 96))
    image.save(path)
    return path
