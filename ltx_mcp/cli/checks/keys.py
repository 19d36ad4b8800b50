"""Whether a key can be one, by its looks alone. Nothing of it is ever shown, not even a part."""

import re
from collections.abc import Callable, Mapping, Sequence

from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.settings import LEFT_EMPTY

BRACKETED = re.compile(r"\$.*|%\w+%|<.*>|\{.*\}|\[.*\]", re.DOTALL)
WORDS = re.compile(r"(your|my|the|an?|insert|enter|put|here|api|secret|key|token|fal|ltxv?|x{3,}|\.{3,}|[\W_])+", re.I)
STOPGAPS = frozenset({"changeme", "change-me", "todo", "none", "null", "undefined", "secret", "test"})
SCHEME = re.compile(r"(authorization:\s*)?(bearer|key|token|basic)\s", re.IGNORECASE)
QUOTES = "\"'`\u2018\u2019\u201c\u201d"


def check_key(facts: ProviderSpec, providers: Sequence[ProviderSpec], lookup: Callable[[str], str]) -> list[Finding]:
    """What can be said of a provider's keys; a failure is one that no provider can have given out."""
    what = f"key of {facts.name}"
    names = [name for name in facts.key_env if lookup(name)]
    key = lookup(names[0])
    if fault := find_fault(key, names[0]):
        return [failure(what, f"{names[0]} {fault}", f"Set {names[0]} to the key alone{_place(facts)}.")]
    doubts = [warning(what, doubt, mend) for doubt, mend in _doubts(facts, names, providers, lookup)]
    return doubts or [fine(what, f"{names[0]} is set")]


def find_unfilled(facts: ProviderSpec, environment: Mapping[str, str], lookup: Callable[[str], str]) -> list[Finding]:
    """A line for each key of which only a reference is there: a host meant to hand it on, and had nothing to."""
    given = {name: environment.get(name, "").strip() for name in facts.key_env}
    names = [name for name, text in given.items() if text and not lookup(name) and not text.startswith(LEFT_EMPTY)]
    found = "holds a reference that nobody filled in, which counts as no key"
    return [warning(f"key of {facts.name}", f"{name} {found}", f"Set {name} where the host starts.") for name in names]


def find_fault(key: str, name: str) -> str:
    """What makes this no key at all, as the middle of a sentence; empty where nothing does."""
    if BRACKETED.fullmatch(key) or WORDS.fullmatch(key) or key.lower() in STOPGAPS:
        return "is a placeholder that nobody filled in"
    if key.startswith(f"{name}="):
        return "repeats its own name"
    if SCHEME.match(key):
        return "begins with a word such as Bearer, which is not part of the key"
    if key[0] in QUOTES or key[-1] in QUOTES:
        return "stands in quotation marks"
    if any(sign.isspace() for sign in key):
        return "has a space or a line break in it"
    if not key.isascii() or not key.isprintable():
        return "has a sign in it that cannot be sent"
    if key.startswith(("http://", "https://")):
        return "is an address"
    return ""


def _doubts(
    facts: ProviderSpec, names: Sequence[str], providers: Sequence[ProviderSpec], lookup: Callable[[str], str]
) -> list[tuple[str, str]]:
    """What is odd, and may be right all the same; with what to do."""
    key, name = lookup(names[0]), names[0]
    found = []
    others = [each for each in providers if each.name != facts.name]
    own = facts.key_form and re.fullmatch(facts.key_form.pattern, key)
    if same := [each for other in others for each in other.key_env if lookup(each) == key]:
        found.append((f"{name} is the same as {same[0]}", f"Look which of the two it belongs to{_place(facts)}."))
    elif not own and (like := [each for each in others if each.key_form and re.fullmatch(each.key_form.pattern, key)]):
        found.append((f"{name} looks like a key of {like[0].title}", f"Look where it is from{_place(facts)}."))
    elif facts.key_form and not own:
        form = f"{name} is not of the form that keys of {facts.title} have: {facts.key_form.words}"
        found.append((form, f"Copy {name} once more, the whole of it{_place(facts)}."))
    if any(lookup(each) != key for each in names[1:]):
        found.append((f"{' and '.join(names)} differ; {name} is used", f"Unset {names[1]}."))
    return found


def _place(facts: ProviderSpec) -> str:
    return f"; keys are made at {facts.key_page}" if facts.key_page else ""
