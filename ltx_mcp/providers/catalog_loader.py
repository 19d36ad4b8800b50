"""Loads the facts of every provider, reads the settings they name, and says which providers could be used now."""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.plan import Availability, Catalog
from ltx_mcp.domain.quoting import quote
from ltx_mcp.domain.request import PREVIEW_PROVIDER
from ltx_mcp.net.address import is_loopback_host

DOCUMENTED_PATHS = ("/v1", "/v2", "/api")
"""What a provider's own paths begin with; of an address that was copied with one of them at its end it is removed."""
MAX_ERRORS, MAX_SHOWN = 5, 40
MAX_DIGITS = 400


def read_providers(overlay: Path | None = None) -> tuple[ProviderSpec, ...]:
    """All providers, in the order of preference; `overlay` is one more file of the same form, laid over its namesake.

    Raises SetupError naming LTX_MCP_MODELS when the overlay cannot be read or does not have the form.
    """
    facts = _shipped_facts()
    if overlay is not None:
        tables = _shipped_tables()
        extra = _read_overlay(overlay, tables)
        facts = {**facts, extra["name"]: _checked(_merge(tables[extra["name"]], extra), overlay)}
    return tuple(sorted(facts.values(), key=lambda each: (each.rank, each.name)))


@cache
def _shipped_facts() -> Mapping[str, ProviderSpec]:
    """What ships, by name; parsing it takes longer than an order."""
    return MappingProxyType({name: _checked(table, None) for name, table in _shipped_tables().items()})


@cache
def _shipped_tables() -> Mapping[str, dict[str, Any]]:
    files = [file for file in resources.files(__package__).iterdir() if file.name.endswith(".toml")]
    tables = [_parsed(file.read_text("utf-8")) for file in files]
    return MappingProxyType({table["name"]: table for table in tables})


def _parsed(text: str) -> dict[str, Any]:
    """Figures as they are written: not rounded to what a float can hold."""
    return tomllib.loads(text, parse_float=_figure)


def _figure(text: str) -> Decimal:
    """ValueError for one with so many digits that converting it to an integer would take a minute."""
    figure = Decimal(text)
    if figure.is_finite() and figure.adjusted() > MAX_DIGITS:
        raise ValueError(f"a figure of more than {MAX_DIGITS} digits")
    return figure


def _checked(table: dict[str, Any], overlay: Path | None) -> ProviderSpec:
    try:
        return ProviderSpec.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        errors = []
        for each in found:
            reason = each["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
            errors.append(f"{_place(each['loc'], table)}{_given(each['input'])}: {reason}")
        more = [f"and {len(errors) - MAX_ERRORS} more"] if len(errors) > MAX_ERRORS else []
        raise _bad_overlay(overlay, "; ".join(errors[:MAX_ERRORS] + more)) from error


def _place(place: tuple[int | str, ...], table: dict[str, Any]) -> str:
    """A field by its name in the file; a row by its model and operation, since its number is that of a merged list."""
    names = [str(each) for each in place if each not in ("from-to", "list", "values")]
    if len(place) > 1 and place[0] == "offer" and isinstance(place[1], int):
        row = table["offer"][place[1]]
        names[:2] = [f"offer {str(row['model'])[:MAX_SHOWN]} {str(row['operation'])[:MAX_SHOWN]}"]
        return ": ".join(filter(None, (names[0], ".".join(names[1:]))))
    return ".".join(names) or str(table["name"])


def _given(value: Any) -> str:
    """A single value as it was written; nothing for a table, whose fields are listed instead."""
    if not isinstance(value, str | int | float | Decimal):
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return f" = {text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + '…'}"


def _read_overlay(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    try:
        table = _parsed(path.read_text("utf-8"))
    except RecursionError as error:
        raise _bad_overlay(path, "it is nested too deeply") from error
    except (OSError, ValueError, ArithmeticError) as error:
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
    own = [offer | {"is_operators": True} for offer in extra.get("offer", [])]
    offers = {_key(offer): offer for offer in (*base.get("offer", []), *own)}
    return base | extra | {"offer": list(offers.values())}


def make_catalog(providers: tuple[ProviderSpec, ...], order: tuple[str, ...], lookup: Callable[[str], str]) -> Catalog:
    """What could be ordered now. `lookup` gives the value of a setting by its name, empty when it is not set.

    Raises SetupError for a provider in `order` that does not exist, and for an address or option that cannot be used;
    an empty `order` is the default one.
    """
    names = [facts.name for facts in providers]
    if unknown := [name for name in order if name not in names]:
        raise SetupError(
            ErrorCode.INVALID_REQUEST,
            f"LTX_MCP_PROVIDERS names {quote(unknown[0])}, which is none of {', '.join(names)}.",
        )
    order = order or tuple(facts.name for facts in providers if facts.name != PREVIEW_PROVIDER)
    return Catalog(providers, {facts.name: find_availability(facts, order, lookup) for facts in providers}, order)


def find_availability(facts: ProviderSpec, order: tuple[str, ...], lookup: Callable[[str], str]) -> Availability:
    """Whether a provider can be used with these settings. Raises SetupError for one that has an impossible value."""
    addresses = read_addresses(facts, lookup)
    read_options(facts, lookup)
    if facts.name not in order and facts.name != PREVIEW_PROVIDER:
        return Availability(False, f"{facts.name} is not in LTX_MCP_PROVIDERS.")
    if facts.key_env and not read_key(facts, lookup):
        return Availability(False, f"{facts.name} needs {' or '.join(facts.key_env)}.")
    missing = [facts.url_env[use] for use in needed_urls(facts) if use not in addresses]
    return Availability(False, f"{facts.name} needs {', '.join(missing)}.") if missing else Availability(True)


def can_serve(facts: ProviderSpec, lookup: Callable[[str], str]) -> bool:
    """Whether orders at this provider can be tracked from here, whatever `auto` may choose."""
    has_key = not facts.key_env or bool(read_key(facts, lookup))
    return has_key and set(needed_urls(facts)) <= read_addresses(facts, lookup).keys()


def with_account(facts: ProviderSpec, account: str, lookup: Callable[[str], str]) -> Callable[[str], str]:
    """`lookup`, in which this provider's key is the value of the variable `account`; an empty one is the operator's."""
    if not account:
        return lookup
    own, *others = facts.key_env or ("",)

    def look_up(name: str) -> str:
        return lookup(account) if name == own else "" if name in others else lookup(name)

    return look_up


def needed_urls(facts: ProviderSpec) -> tuple[str, ...]:
    """The addresses that an order cannot do without."""
    return tuple(use for use in facts.url_env if use not in facts.url_beside)


def read_key(facts: ProviderSpec, lookup: Callable[[str], str]) -> str:
    """The first key that is set; empty when none is."""
    return next((value for name in facts.key_env if (value := lookup(name))), "")


def read_addresses(facts: ProviderSpec, lookup: Callable[[str], str]) -> dict[str, str]:
    """The provider's addresses by use, without a slash at the end. Raises SetupError for one that cannot be used."""
    for use, text in facts.url_default.items():
        if not _is_safe(text):
            raise SetupError(
                ErrorCode.INVALID_REQUEST,
                f"url_default.{use} of {facts.name} cannot be used.",
                "Give an address such as https://api.example.com in the file of LTX_MCP_MODELS.",
            )
    given = {use: lookup(name) for use, name in facts.url_env.items()}
    for use, text in given.items():
        if text and not _is_safe(text):
            shown = "" if "@" in text else f"={quote(text)}"
            raise SetupError(
                ErrorCode.INVALID_REQUEST,
                f"{facts.url_env[use]}{shown} cannot be used.",
                "Give an address such as https://api.example.com; plain http only for this machine.",
            )
    usual = {use: _base(text) for use, text in facts.url_default.items()}
    addresses = usual | {use: _base(text) for use, text in given.items() if text}
    # an address that goes with another one is unused where that was changed and it was not
    unused = [
        use
        for use, other in facts.url_beside.items()
        if not given.get(use) and (other not in usual or addresses[other] != usual[other])
    ]
    return {use: url for use, url in addresses.items() if use not in unused}


def _base(address: str) -> str:
    address = address.rstrip("/")
    ending = next((path for path in DOCUMENTED_PATHS if address.endswith(path)), "")
    return address.removesuffix(ending)


def _is_safe(address: str) -> bool:
    """Whether a key may go there: https, or http to this machine."""
    try:
        url = urlsplit(address)
        if not url.hostname or url.query or url.fragment or url.username or url.port == 0:
            return False
    except ValueError:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback_url(address))


def is_loopback_url(address: str) -> bool:
    """Whether an address is on this machine."""
    return is_loopback_host(urlsplit(address).hostname or "")


def read_options(facts: ProviderSpec, lookup: Callable[[str], str]) -> dict[str, str]:
    """The provider's own settings by name. Raises SetupError naming the values there are."""
    chosen = {name: lookup(option.env) or option.values[0] for name, option in facts.options.items()}
    for name, option in facts.options.items():
        if chosen[name] not in option.values:
            raise SetupError(
                ErrorCode.INVALID_REQUEST,
                f"{option.env}={quote(chosen[name])} cannot be used; give one of {', '.join(option.values)}.",
            )
    return chosen


def ended_choices(providers: Iterable[ProviderSpec], lookup: Callable[[str], str]) -> dict[str, str]:
    """What to say about settings whose chosen value has no effect any more, by the setting."""
    chosen = [(option, lookup(option.env)) for facts in providers for option in facts.options.values()]
    return {
        option.env: f"{option.env}={value}: {option.ended[value]}." for option, value in chosen if value in option.ended
    }


def setting_names(facts: ProviderSpec) -> tuple[str, ...]:
    """Every environment variable these facts name."""
    return (*facts.key_env, *facts.url_env.values(), *(option.env for option in facts.options.values()))
