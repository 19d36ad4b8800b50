"""What docs/hosts.md says of the clients: the table of the last run, and the code that was run, as it stands here."""

import json

from tests.clients.environments import DRIVERS, ROOT, read_clients

RESULTS = ROOT / "tests" / "clients" / "results.json"
LANGUAGES = {".py": "python", ".mjs": "javascript"}
SHOWN = (
    "openai-agents",
    "pydantic-ai",
    "langchain",
    "adk",
    "ai-sdk",
    "mastra",
    "agent-framework",
    "smolagents",
    "crewai",
    "google-genai",
)
"""Whose code the page shows."""


def clients() -> str:
    """What each client showed its model in the last run."""
    head = "| client | tried | shows | the sheet | tokens | its time-out for a call | does not |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    for name, told in kept.items():
        picture = {"yes": "as a picture", "no": "not"}.get(told["picture"], told["picture"])
        cells = [told["title"], told["versions"], told["shows"], picture, str(told["cycle_tokens"]), told["timeout"]]
        rows.append(f"| {' | '.join([*cells, ', '.join(told['failed']) or 'nothing'])} |")
        assert name in {each.name for each in read_clients()}, name
    return "\n".join(rows)


def snippets() -> str:
    """The code of the frameworks, as `make test-clients` runs it."""
    found = {each.name: each for each in read_clients()}
    return "\n".join(line for name in SHOWN for line in _snippet(found[name].title, str(found[name].run)))


def _snippet(title: str, driver: str) -> list[str]:
    code = (DRIVERS / driver).read_text(encoding="utf-8").rstrip()
    kind = LANGUAGES["." + driver.rpartition(".")[2]]
    return [f"### {title}", "", f"```{kind}", code, "```", ""]
