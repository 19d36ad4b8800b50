"""The fourteen conversations by name, and how one is played."""

from importlib import import_module
from pathlib import Path

from tests.conversations.agent import talking
from tests.conversations.reading import Half
from tests.conversations.stage import Providers
from tests.conversations.transcript import Transcript

NAMES = (
    "cheapest",
    "out_of_credit",
    "over_budget",
    "timed_out",
    "chain",
    "takes",
    "film",
    "vertical",
    "mended",
    "cancelled",
    "content_refused",
    "unknown",
    "restarted",
    "corrected",
)


async def play(name: str, home: Path, providers: Providers, half: Half = "both") -> str:
    """One conversation on a home of its own, to its end, with a model that is shown this half; gives its transcript."""
    conversation = import_module(f"tests.conversations.{name}")
    transcript = Transcript(home)
    async with talking(home, providers, getattr(conversation, "SETTINGS", {}), transcript, half) as agent:
        await conversation.talk(agent)
    return transcript.text()
