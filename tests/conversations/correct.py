"""Puts arguments right by the sentence that refused them: the argument it names, the values it allows.

It knows how such sentences are built, and no argument, no value and no tool.
"""

import difflib
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

UNKNOWN = re.compile(r"(\w+) is not an argument of \w+; it takes ([\w, ]+)\.")
CHOICE = re.compile(r"(\w+) should be ((?:'[^']*'|\d+)(?:(?:, | or )(?:'[^']*'|\d+))*)[ .]")
NAMED = re.compile(r"(\w+): '[^']*' is not one of ([\w.]+(?:, [\w.]+)*)\.")
BOUND = re.compile(r"(\w+) should be (?:less|greater) than or equal to (-?[\d.]+\d|-?\d)")
NEAREST = re.compile(r"Nearest: (\w+=\S+(?:, \w+=\S+)*) at ")
OFFERED = re.compile(r"(\w+) \S+ is not offered; allowed: ([\w:]+(?:, [\w:]+)*)\.")
LEAVE_OUT = re.compile(r"(\w+) \S+ is not offered; leave it out")
ALIKE = 0.55
"""How alike two names must be to be taken for one."""


def correct(arguments: dict[str, Any], sentence: str) -> tuple[dict[str, Any], list[str]]:
    """The arguments with what `sentence` asks for, and what was changed, in words; nothing where it names nothing."""
    told: list[str] = []
    for rule in (_rename, _leave_out, _choose, _bound, _nearest):
        arguments, changed = rule(arguments, sentence)
        told += changed
    return arguments, told


def _rename(arguments: dict[str, Any], sentence: str) -> tuple[dict[str, Any], list[str]]:
    told = []
    for name, allowed in UNKNOWN.findall(sentence):
        value = arguments[name]
        arguments = {key: arguments[key] for key in arguments if key != name}
        free = [each for each in allowed.split(", ") if each not in arguments]
        same = [each for each in free if name in each.split("_")] or difflib.get_close_matches(name, free, 1, ALIKE)
        if same:
            arguments[same[0]] = value
        told.append(f"{name} is called {same[0]}" if same else f"{name} is left out")
    return arguments, told


def _leave_out(arguments: dict[str, Any], sentence: str) -> tuple[dict[str, Any], list[str]]:
    unwanted = [name for name in dict.fromkeys(LEAVE_OUT.findall(sentence)) if name in arguments]
    return {key: arguments[key] for key in arguments if key not in unwanted}, [
        f"{each} is left out" for each in unwanted
    ]


def _choose(arguments: dict[str, Any], sentence: str) -> tuple[dict[str, Any], list[str]]:
    found = [
        *CHOICE.findall(sentence),
        *NAMED.findall(sentence),
        *([] if NEAREST.search(sentence) else OFFERED.findall(sentence)),
    ]
    wishes = {name: re.split(r", | or ", allowed.replace("'", "")) for name, allowed in found if name in arguments}
    chosen = {name: _like(arguments[name], _closest(arguments[name], allowed)) for name, allowed in wishes.items()}
    return arguments | chosen, [f"{name} {arguments[name]} becomes {value}" for name, value in chosen.items()]


def _bound(arguments: dict[str, Any], sentence: str) -> tuple[dict[str, Any], list[str]]:
    found = {name: _number(bound) for name, bound in BOUND.findall(sentence) if name in arguments}
    return arguments | found, [f"{name} {arguments[name]} becomes {bound}" for name, bound in found.items()]


def _nearest(arguments: dict[str, Any], sentence: str) -> tuple[dict[str, Any], list[str]]:
    found = NEAREST.search(sentence)
    pairs = [pair.split("=", 1) for pair in found[1].split(", ")] if found else []
    changed = {name: _like(arguments.get(name, 0), value) for name, value in pairs}
    return arguments | changed, [f"{name} {arguments.get(name)} becomes {value}" for name, value in changed.items()]


def _closest(asked: Any, allowed: Sequence[str]) -> str:
    """The nearest by size where all are sizes, else the one that is written most alike, else the first."""
    size, sizes = _size(str(asked)), [_size(each) for each in allowed]
    if size and all(sizes):
        return min(allowed, key=lambda each: abs(1 - (_size(each) or 0) / size))
    return (difflib.get_close_matches(str(asked), allowed, 1, 0) or [*allowed])[0]


def _size(text: str) -> float | None:
    """16:9, 1080p and 25 have one; words have none."""
    found = re.fullmatch(r"([\d.]+)(?:p|:([\d.]+))?", text)
    return float(Fraction(found[1]) / Fraction(found[2] or 1)) if found else None


def _like(asked: Any, value: str) -> Any:
    return _number(value) if isinstance(asked, int | float) and _size(value) and value[-1].isdigit() else value


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
