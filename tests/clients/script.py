"""What the scripted model does, and how it reads what it was shown: by words alone, as a model would."""

import re
from collections.abc import Generator
from typing import Any

Step = tuple[str, dict[str, Any]]
Conversation = Generator[Step, str, None]

JOB = re.compile(r"job_[0-9A-Za-z]{20}")
CURSOR = re.compile(r"cursor\W{1,8}([\w=-]{8,})")
NO_JOB = "job_" + "0" * 20
MAX_LOOKS = 20
ENDED = ("succeeded", "failed", "cancelled", "unknown")


def conversation(mark: str) -> Conversation:
    """Price, order a preview, follow it to its end, make a mistake, and page the list. Each step is sent what was shown
    of the one before. `mark` makes the order this client's own."""
    order = {"duration": 6, "resolution": "720p"}
    yield "estimate_cost", order
    prompt = f"A paper boat in the rain, {mark}"
    shown = yield "generate_video", order | {"prompt": prompt, "provider": "local"}
    if (job := JOB.search(shown)) is None:
        return
    for _ in range(MAX_LOOKS):
        shown = yield "check_job", {"job_id": job[0]}
        if any(re.search(rf"\b{word}\b", shown) for word in ENDED):
            break
    yield "cancel_job", {"job_id": NO_JOB}
    shown = yield "list_jobs", {"limit": 1}
    if cursor := CURSOR.search(shown):
        yield "list_jobs", {"limit": 1, "cursor": cursor[1]}
