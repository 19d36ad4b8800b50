"""What a run says of a client: the checks that each must pass, and the facts that the table in docs/hosts.md shows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tests.clients.room import Run
from tests.clients.script import JOB
from tests.clients.shown import Shown
from tests.tool_list import TOOLS

CYCLE = ("estimate_cost", "generate_video", "check_job")


@dataclass(frozen=True)
class Record:
    """What is known of one client from its run."""

    title: str
    versions: str
    calls_itself: str
    failed: tuple[str, ...]
    shows: str
    picture: str
    cycle_tokens: int
    timeout: str

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self) | {"failed": list(self.failed)}


def judge(run: Run) -> tuple[Record, dict[str, str]]:
    """The record of a run, and what is wrong with each check that did not pass."""
    wrong = {name: found for name, check in CHECKS.items() if (found := check(run))}
    record = Record(
        run.client.title,
        run.client.versions,
        _client_info(run).get("name", ""),
        tuple(wrong),
        _half(run),
        _picture(run),
        sum(_tokens(_last(run, name)) for name in CYCLE),
        run.client.timeout,
    )
    return record, wrong


def _connects(run: Run) -> str:
    return "" if _client_info(run) else f"our server was not started: {run.said[-600:]}"


def _lists(run: Run) -> str:
    missing = [name for name in TOOLS if name not in run.model.offered]
    return f"its model is not offered {', '.join(missing)}" if missing else ""


def _converts(run: Run) -> str:
    """Every argument is still there and described, in a form that its model's API takes."""
    ours = {tool["name"]: tool["inputSchema"]["properties"] for tool in _listed(run)}
    found = []
    for name, properties in ours.items():
        if name not in run.model.offered:
            continue
        offered = run.model.offered[name]
        theirs = offered.schema.get("properties", {})
        found += [f"{name}.{each} is lost" for each in properties if each not in theirs]
        found += [f"{name}.{each} is not described" for each in theirs if not _is_described(theirs[each])]
        found += [f"{name} is not described"] if not offered.description else []
        found += [f"{name}{where}" for where in _unfit(offered.schema, "")]
    return "; ".join(found)


def _is_described(node: dict[str, Any]) -> bool:
    return bool(node.get("description")) or any(each.get("description") for each in node.get("anyOf", ()))


def _unfit(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, dict):
        return
    if not all(isinstance(word, str) and word for word in node.get("enum", ())):
        yield f"{path}: enum of {node['enum']}"
    for name, each in node.get("properties", {}).items():
        yield from _unfit(each, f"{path}.{name}")
    for each in node.get("anyOf", ()):
        yield from _unfit(each, path)


def _orders(run: Run) -> str:
    shown = _last(run, "generate_video")
    return "" if shown and JOB.search(shown.text) else f"no job was shown: {_text(shown)}"


def _sheet(run: Run) -> str:
    shown = _last(run, "check_job")
    return "" if shown and shown.pictures else f"no picture was shown; {_text(shown)}"


def _error(run: Run) -> str:
    shown = _last(run, "cancel_job")
    return "" if shown and "job_not_found" in shown.text else f"job_not_found was not shown: {_text(shown)}"


def _pages(run: Run) -> str:
    pages = [JOB.findall(shown.text)[:1] for name, shown in run.model.seen if name == "list_jobs"]
    if len(pages) == 2 and all(pages) and pages[0] != pages[1]:
        return ""
    return f"the second page was not asked for or shown: {pages}; {_text(_last(run, 'list_jobs'))}"


def _ends(run: Run) -> str:
    if run.exit_code == 0 and run.model.is_done:
        return ""
    return f"exit code {run.exit_code}: {run.said[-1000:]}"


CHECKS: dict[str, Callable[[Run], str]] = {
    "connects": _connects,
    "lists": _lists,
    "converts": _converts,
    "orders": _orders,
    "sheet": _sheet,
    "error": _error,
    "pages": _pages,
    "ends": _ends,
}


def _client_info(run: Run) -> dict[str, Any]:
    for asked in run.asked:
        told = asked.get("params", {})
        info = told.get("clientInfo") or told.get("_meta", {}).get("io.modelcontextprotocol/clientInfo")
        if isinstance(info, dict):
            return info
    return {}


def _listed(run: Run) -> list[dict[str, Any]]:
    return next((each["result"]["tools"] for each in run.answered if "tools" in each.get("result", {})), [])


def _last(run: Run, tool: str) -> Shown | None:
    return next((shown for name, shown in reversed(run.model.seen) if name == tool), None)


def _text(shown: Shown | None) -> str:
    return shown.text[:300] if shown else "never asked"


def _tokens(shown: Shown | None) -> int:
    return len(shown.text.encode()) // 4 if shown else 0


def _half(run: Run) -> str:
    """Whether a model sees an answer's text, its structure or both: asked of the order's answer."""
    shown = _last(run, "generate_video")
    answer = next((each["result"] for each in run.answered if _is_order(each.get("result"))), None)
    if shown is None or answer is None:
        return "nothing"
    words = re.sub(r"\W+", " ", shown.text)
    has_text = re.sub(r"\W+", " ", answer["content"][0]["text"]).strip() in words
    names = answer.get("structuredContent", {})
    has_structure = bool(names) and all(re.search(rf"[\"']{name}[\"']", shown.text) for name in names)
    halves = [half for half, is_there in (("text", has_text), ("structure", has_structure)) if is_there]
    return " and ".join(halves) or "nothing"


def _is_order(result: Any) -> bool:
    structure = result.get("structuredContent") if isinstance(result, dict) else None
    return isinstance(structure, dict) and {"job_id", "is_preview", "next"} <= structure.keys()


def _picture(run: Run) -> str:
    shown = _last(run, "check_job")
    if shown is None or (not shown.pictures and not shown.spilled):
        return "no"
    return "yes" if shown.pictures else f"as {shown.spilled // 4:,} tokens of text"


def unexpected(run: Run, wrong: dict[str, str]) -> dict[str, str]:
    """What goes wrong without a reason in clients.toml, and what goes well in spite of one."""
    known = run.client.cannot
    healed = {name: f"it can now, against clients.toml: {known[name]}" for name in known if name not in wrong}
    return {name: why for name, why in wrong.items() if name not in known} | healed
