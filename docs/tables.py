"""Writes the tables of README and docs from what the code says. `make docs` renews them; a test compares them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import anyio

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.providers.table import make_market, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import described, read_settings

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
MARKER = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

MEANINGS = {
    ErrorCode.INVALID_REQUEST: "An argument or setting cannot be used; the sentence names it and what is allowed.",
    ErrorCode.NOT_SUPPORTED: "No provider offers this combination; the nearest one is named with its price.",
    ErrorCode.OVER_BUDGET: "Above `max_cost_usd` or today's budget; says what is left.",
    ErrorCode.NEEDS_CONFIRMATION: "A person must agree to the price first.",
    ErrorCode.JOB_NOT_FOUND: "No such job for this caller.",
    ErrorCode.INPUT_FAILED: "A picture could not be read, or the job it comes from has no film.",
    ErrorCode.MISSING_KEY: "The provider's key is not set.",
    ErrorCode.KEY_REJECTED: "The provider does not accept the key.",
    ErrorCode.OUT_OF_CREDIT: "The provider's account is empty or locked.",
    ErrorCode.RATE_LIMITED: "The provider asks to wait.",
    ErrorCode.CONTENT_REFUSED: "The provider's filter refused the prompt or picture.",
    ErrorCode.REJECTED: "The provider refused the order as malformed.",
    ErrorCode.UNAVAILABLE: "The provider could not be reached or could not make it.",
    ErrorCode.BAD_REPLY: "What came back could not be understood, or is not a film.",
    ErrorCode.OUTCOME_UNKNOWN: "The order may have been taken and charged; it is never sent again by itself.",
    ErrorCode.EXPIRED: "The film was made but its address no longer works.",
    ErrorCode.STORAGE_FAILED: "The disk or database cannot be used; names the path and the setting.",
    ErrorCode.INTERNAL_ERROR: "A bug; the log on stderr has the traceback.",
}


def settings() -> str:
    """Every environment variable this version acts on."""
    rows = [f"| `{row['name']}` | {row['meaning']} | {row['default']} |" for row in described()]
    return "\n".join(["| setting | meaning | default |", "|---|---|---|", *rows])


def tools() -> str:
    """Every tool with its first sentence."""
    server, _ = make_server(read_settings({}), make_market(read_providers(), (), lambda name: ""))
    listed = anyio.run(server.list_tools)
    rows = [f"| `{tool.name}` | {(tool.description or '').split('. ')[0].rstrip('.')}. |" for tool in listed]
    return "\n".join(["| tool | what it does |", "|---|---|", *rows])


def errors() -> str:
    """Every error code with its meaning."""
    rows = [f"| `{code}` | {MEANINGS[code]} |" for code in ErrorCode]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def models() -> str:
    """What can be ordered, from the facts."""
    rows = [
        f"| {facts.name} | {row.model} | {row.operation} | {'; '.join(str(limit.duration) for limit in row.limits)} "
        f"| {', '.join(dict.fromkeys(label for limit in row.limits for label in limit.resolution))} "
        f"| {row.price.as_of} |"
        for facts in read_providers()
        for row in facts.offer
    ]
    head = ["| provider | model | operation | seconds | resolution | as of |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


TABLES: dict[str, Callable[[], str]] = {"settings": settings, "tools": tools, "errors": errors, "models": models}


def renewed(text: str) -> str:
    """A page with its tables as the code says now."""
    return MARKER.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Renew every page in place."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (new := renewed(text)) != text:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"renewed {page.name}\n")


if __name__ == "__main__":
    main()
