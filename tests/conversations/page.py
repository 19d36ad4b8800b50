"""The transcripts in docs/agents.md: between markers, each as its conversation says now."""

import re
from collections.abc import Mapping

from tests.conversations.stage import ROOT

PAGE = ROOT / "docs" / "agents.md"
MARKER = re.compile(r"(<!-- transcript: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def shown(text: str) -> dict[str, str]:
    """The transcripts of a page, by name, in its order."""
    return {found[2]: found[0] for found in MARKER.finditer(text)}


def renewed(text: str, transcripts: Mapping[str, str]) -> str:
    """The page with these transcripts."""
    return MARKER.sub(lambda found: f"{found[1]}```text\n{transcripts[found[2]]}\n```\n{found[3]}", text)
