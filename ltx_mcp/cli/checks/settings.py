"""The settings, looked at one by one, so that a bad one is reported and the rest can still be used; and the money."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.price import to_text
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.providers.catalog_loader import (
    ended_choices,
    is_loopback_url,
    read_addresses,
    read_providers,
    setting_names,
)
from ltx_mcp.settings import PREFIX, Settings, described, read_overlay_path

MODELS = f"{PREFIX}MODELS"


@dataclass(frozen=True)
class Given:
    """What could be read, and the names of what could not."""

    settings: Settings
    catalog: Catalog
    bad: frozenset[str]
    lines: tuple[Finding, ...]


def read_given(environment: Mapping[str, str]) -> Given:
    """Every setting by itself; those that cannot be used are left out of what is looked at next."""
    bad: dict[str, Finding] = {}
    overlay = {name: value for name, value in environment.items() if name == MODELS}
    if overlay and (error := _refusal(overlay)):
        bad[MODELS] = failure("settings", error.message, error.hint or f"Correct or unset {MODELS}.")
        overlay = {}
    known = _known(overlay)
    for name in sorted(environment.keys() - {MODELS}):
        if (name.startswith(PREFIX) or name in known) and (error := _refusal({**overlay, name: environment[name]})):
            bad[name] = failure("settings", error.message, _mend(name, known, error))
    settable = {name: environment[name] for name in environment.keys() - bad.keys()}
    settings, catalog = read_edge(environment=settable, with_keyring=True)
    names = [name for name in known if settings.lookup(name)]
    found = ", ".join(names) if names else "none is set"
    ended = ended_choices(catalog.providers, settings.lookup)
    lines = (*bad.values(),) if bad else (fine("settings", found),)
    lines += tuple(warning("settings", words, f"Unset {name}.") for name, words in ended.items())
    return Given(settings, catalog, frozenset(bad), lines)


def _refusal(environment: Mapping[str, str]) -> SetupError | None:
    try:
        read_edge(environment=environment)
    except SetupError as error:
        return error
    return None


def _known(overlay: Mapping[str, str]) -> list[str]:
    """Every name this version acts on."""
    facts = read_providers(read_overlay_path(overlay))
    ours = [words["name"] for words in described()]
    return list(dict.fromkeys([*(name for each in facts for name in setting_names(each)), *ours]))


def _mend(name: str, known: list[str], error: SetupError) -> str:
    if name in known:
        return error.hint or f"Correct or unset {name}."
    meant = get_close_matches(name, known, 1, 0.75)
    return f"Unset it; {meant[0]} may be meant." if meant else f"Unset {name}."


def check_money(given: Given) -> list[Finding]:
    """What may be ordered without anybody being asked."""
    settings, catalog = given.settings, given.catalog
    costs = any(
        catalog.availability[facts.name].usable and not _is_free(given, facts.name) for facts in catalog.providers
    )
    lines = []
    if settings.budget_usd is not None:
        lines.append(fine("budget", f"{to_text(settings.budget_usd)} USD in a UTC day"))
    elif costs:
        mend = f"Set {PREFIX}BUDGET_USD_PER_DAY, such as to 5, to say where it ends."
        lines.append(warning("budget", "none, and there is a key that orders can be paid with", mend))
    else:
        lines.append(fine("budget", "none"))
    asked = settings.confirm_above_usd
    words = "nobody is asked before an order" if asked is None else f"a person is asked above {to_text(asked)} USD"
    return [*lines, fine("confirmation", words)]


def _is_free(given: Given, name: str) -> bool:
    """A preview, or an address on this machine, where an emulator is."""
    facts = given.catalog.facts(name)
    addresses = read_addresses(facts, given.settings.lookup)
    return facts.is_preview or (bool(addresses) and all(is_loopback_url(address) for address in addresses.values()))
