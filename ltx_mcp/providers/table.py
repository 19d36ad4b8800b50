"""Loads the facts of every provider, and says which of them could be used now."""

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.facts import ProviderFacts
from ltx_mcp.domain.plan import LOCAL, Market, Standing

DEFAULT_ORDER = ("fal", "ltx", "netwrck", "bytecompute")


def read_providers(overlay: Path | None = None) -> tuple[ProviderFacts, ...]:
    """All providers, in the order of preference; `overlay` is one more file of the same form, laid over its namesake.

    Raises SetupError naming LTX_MCP_MODELS when the overlay cannot be read or does not have the form.
    """
    folder = resources.files(__package__)
    tables = [tomllib.loads(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".toml")]
    by_name = {table["name"]: table for table in tables}
    if overlay is not None:
        extra = _read_overlay(overlay, by_name)
        by_name[extra["name"]] = _merge(by_name[extra["name"]], extra)
    try:
        facts = [ProviderFacts.model_validate(table) for table in by_name.values()]
    except ValidationError as error:
        found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)[:5]]
        raise _bad_overlay(overlay, "; ".join(found)) from error
    return tuple(sorted(facts, key=lambda each: _place(each.name)))


def _place(name: str) -> tuple[int, str]:
    return (DEFAULT_ORDER.index(name) if name in DEFAULT_ORDER else len(DEFAULT_ORDER), name)


def _read_overlay(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _bad_overlay(path, str(error)) from error
    name, offers = table.get("name"), table.get("offer", [])
    if not isinstance(name, str) or name not in known:
        raise _bad_overlay(path, f"name must be one of {', '.join(known)}")
    if not isinstance(offers, list) or not all(isinstance(_key(offer), tuple) for offer in offers):
        raise _bad_overlay(path, "each [[offer]] must have a model and an operation, as text")
    return table


def _key(offer: Any) -> tuple[str, str] | None:
    """What makes two offers of one provider the same."""
    model, operation = (offer.get("model"), offer.get("operation")) if isinstance(offer, dict) else (None, None)
    return (model, operation) if isinstance(model, str) and isinstance(operation, str) else None


def _bad_overlay(path: Path | None, reason: str) -> SetupError:
    return SetupError(
        ErrorCode.INVALID_REQUEST,
        f"The facts in {path} cannot be used: {reason}.",
        "Mend the file or unset LTX_MCP_MODELS.",
    )


def _merge(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Keys of `extra` win; an offer replaces the one for the same model and operation, else it is added."""
    offers = {_key(offer): offer for offer in (*base.get("offer", []), *extra.get("offer", []))}
    return base | extra | {"offer": list(offers.values())}


def make_market(providers: tuple[ProviderFacts, ...], order: tuple[str, ...], lookup: Callable[[str], str]) -> Market:
    """What could be bought now. `lookup` gives the value of a setting by its name, empty when it is not set.

    Raises SetupError for a provider in `order` that does not exist; an empty `order` is the default one.
    """
    names = [facts.name for facts in providers]
    if strange := [name for name in order if name not in names]:
        raise SetupError(
            ErrorCode.INVALID_REQUEST, f"LTX_MCP_PROVIDERS names {strange[0]!r}, which is none of {', '.join(names)}."
        )
    order = order or tuple(name for name in DEFAULT_ORDER if name in names)
    standings = {facts.name: _standing(facts, order, lookup) for facts in providers}
    return Market(providers, standings, order)


def _standing(facts: ProviderFacts, order: tuple[str, ...], lookup: Callable[[str], str]) -> Standing:
    if facts.name not in order and facts.name != LOCAL:
        return Standing(False, f"{facts.name} is not in LTX_MCP_PROVIDERS.")
    if facts.key_env and not any(lookup(name) for name in facts.key_env):
        return Standing(False, f"{facts.name} needs {' or '.join(facts.key_env)}.")
    missing = [name for use, name in facts.url_env.items() if use not in facts.url_default and not lookup(name)]
    return Standing(False, f"{facts.name} needs {', '.join(missing)}.") if missing else Standing(True)
