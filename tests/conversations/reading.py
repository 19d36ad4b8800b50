"""How an answer is read by a model that is shown one half of it: the same facts from the text as from the structure.

It knows how our sentences are built, and reads nothing that is not there.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mcp.types import CallToolResult, ImageContent, TextContent

Half = Literal["both", "text", "structure"]
HALVES: tuple[Half, ...] = ("both", "text", "structure")
JPEG, MAX_SHEET_BYTES, MAX_SET_SHEET_BYTES = b"\xff\xd8\xff", 60_000, 90_000
DRAWN_HERE = "drawn on this machine"

_PRICE = r"(?P<cost_usd>[\d.]+) USD(?:, at most (?P<at_most_usd>[\d.]+))?"
_ORDER = rf"at (?P<provider>\S+) \((?P<model>[^)]+)\), (?:charged )?{_PRICE}"
_JOB = r"^(?P<job_id>(?:job|set)_\w+)(?: \((?P<take>set_\w+/\d+)\))? (?P<state>\w+)"
_LINES = {
    "refused": r"^(?P<code>[a-z_]+): (?:(?P<job_id>(?:job|set)_\w+) (?P<state>\w+)\. )?",
    "ordered": rf"{_JOB} {_ORDER}(?: for \d takes)?\.$",
    "cancelled": rf"{_JOB}(?: \((?P<cancel>\w+)\))?\. \S",
    "checked": rf"{_JOB}(?: \(.*\))?(?:: (?P<duration>[\d.]+) s, .*|: \d of \d takes \w+)?\.$",
    "order": rf"^(?P<operation>\w+_to_\w+|extend|retake|reframe|join)(?: from (?P<sources>[\w, ]+))? {_ORDER}",
    "film": r"^(?P<video_url>(?:https?|file)://\S+)(?: \((?:until (?P<video_url_expires_at>[^;)]+))?.*\))?$",
    "error": r"^(?P<code>[a-z_]+): ",
    "more": r"^More: list_jobs with cursor=(?P<next_cursor>\S+)$",
    "budget": r"^Today's budget: (?P<left_usd>[\d.]+) of (?P<limit_usd>[\d.]+) USD left\.",
}
_TAKE = re.compile(
    r"^take (?P<take>\d) (?P<state>\w+)(?: \(.*?\))?(?:: (?P<duration>[\d.]+) s, .*?)?"
    r"(?:: (?P<video_url>(?:https?|file)://\S+)|: (?P<error>.*)|\.)$",
    re.MULTILINE,
)
_ROW = re.compile(
    rf"{_JOB}: (?P<operation>\w+)(?: from (?P<sources>[\w, ]+))? at (?P<provider>\S+), "
    rf"{_PRICE}, (?P<created_at>\S+): (?P<prompt>.*)$",
    re.MULTILINE,
)
_QUOTE = re.compile(
    rf"(?P<provider>\S+) (?P<model>\S+): {_PRICE} each(?:; (?P<total_usd>[\d.]+) USD(?:, at most [\d.]+)? in all)?"
    r"(?:; (?P<credits>\d+) credits each)?(?:; for (?P<billed>.*?))?\.(?=\s|$)"
    rf"(?P<source> A preview {DRAWN_HERE}, not LTX\.)?(?P<why_not> Not now: )?"
)
_NUMBERS = frozenset({"cost_usd", "at_most_usd", "total_usd", "left_usd", "limit_usd", "duration", "credits"})


@dataclass(frozen=True)
class Answer:
    """What a model is shown of an answer, the facts that stand there, and the pictures. `code` is empty unless the tool
    refused."""

    shown: str
    facts: dict[str, Any]
    pictures: tuple[bytes, ...]
    code: str

    def tells(self, *words: str) -> bool:
        """Whether each of these is shown. Fails with all that is where one is not."""
        for word in words:
            assert word in self.shown, f"An agent could not have known of {word!r} from this:\n{self.shown}"
        return True

    @property
    def real_quotes(self) -> list[dict[str, Any]]:
        """What an estimate says can be ordered now, cheapest first; a preview drawn here is no LTX video."""
        return [quote for quote in self.facts["quotes"] if quote["usable"] and quote.get("source") != DRAWN_HERE]

    @property
    def has_contact_sheet(self) -> bool:
        """One JPEG that a model can be shown without filling its context."""
        most = MAX_SET_SHEET_BYTES if "takes" in self.facts else MAX_SHEET_BYTES
        sheets = [picture.startswith(JPEG) and len(picture) <= most for picture in self.pictures]
        return sheets == [True]


def text_of(result: CallToolResult) -> str:
    """The text of an answer."""
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def read(tool: str, result: CallToolResult, half: Half) -> Answer:
    """What a model makes of an answer. A host that shows the structure shows the text where there is none."""
    text, structure = text_of(result), result.structured_content
    pictures = tuple(base64.b64decode(part.data) for part in result.content if isinstance(part, ImageContent))
    if half == "text" or structure is None:
        facts, shown = _read_text(tool, text, bool(result.is_error)), text
        code = facts.get("error", {}).get("code", "")
    else:
        facts, shown = dict(structure), json.dumps(structure, ensure_ascii=False)
        code = facts["error"]["code"] if result.is_error else ""
        shown = f"{text}\n{shown}" if half == "both" else shown
    return Answer(shown, facts, pictures, code if result.is_error else "")


def _read_text(tool: str, text: str, refused: bool) -> dict[str, Any]:
    if refused:
        return _with_error(_found("refused", text)) | _takes(text)
    if tool == "estimate_cost":
        return {"quotes": list(map(_quote, _QUOTE.finditer(text))), "budget": _found("budget", text)}
    if tool == "list_jobs":
        return {"jobs": [_facts(row) for row in _ROW.finditer(text)], **_found("more", text)}
    if tool == "cancel_job":
        return _found("cancelled", text) | _takes(text)
    names = ("checked", "order", "film", "error") if tool == "check_job" else ("ordered", "film", "error")
    return _with_error({name: value for line in names for name, value in _found(line, text).items()}) | _takes(text)


def _takes(text: str) -> dict[str, Any]:
    """The takes of a set, each on its line."""
    takes = [_facts(found) | {"take": int(found["take"])} for found in _TAKE.finditer(text)]
    return {"takes": takes} if takes else {}


def _found(line: str, text: str) -> dict[str, Any]:
    found = re.search(_LINES[line], text, re.MULTILINE)
    return _facts(found) if found else {}


def _facts(found: "re.Match[str]") -> dict[str, Any]:
    return dict(_values(found))


def _values(found: "re.Match[str]") -> Iterator[tuple[str, Any]]:
    for name, value in found.groupdict().items():
        if name == "sources":
            yield name, value.split(", ") if value else []
        elif value is not None:
            yield name, float(value) if name in _NUMBERS else value


def _quote(found: "re.Match[str]") -> dict[str, Any]:
    facts = _facts(found)
    is_preview, usable = facts.pop("source", None), not facts.pop("why_not", "")
    return facts | {"usable": usable} | ({"source": DRAWN_HERE} if is_preview else {})


def _with_error(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | ({"error": {"code": facts.pop("code")}} if "code" in facts else {})
