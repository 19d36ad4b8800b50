"""The file of LTX_MCP_CALLERS_FILE: what each caller, each team and everybody else may order.

    [default]                          # every caller who logs in, where nothing below says otherwise
    budget_usd_per_day = 5
    max_live_jobs = 4
    orders_per_minute = 10
    confirm_above_usd = 1
    providers = ["fal", "ltx"]         # that `auto` may use, in order; no others can be ordered from

    [team.films]
    members = ["token|anna", "https%3A%2F%2Fid.example|sub", "token|shop/*"]
    budget_usd_per_day = 50            # of all members together
    providers = ["fal"]
    confirm_above_usd = 10
    fal_key_env = "FILMS_FAL_KEY"      # the variable that holds the team's own key; a key itself is refused

    [team.films.each]                  # of each member
    budget_usd_per_day = 10
    max_live_jobs = 3
    orders_per_minute = 6

    [caller."token|anna"]              # whatever [default] may have; "none" is no limit
    confirm_above_usd = "none"

A name in the file stands for one caller, `token|shop/*` for all users for whom `token|shop` acts, and `token|*` for all
that log in by a token. `token|shop` is also said of each of its users, for whom nothing nearer is said. Each value is
looked for in the caller's entries, the nearest name first, then in those of its team, in [default], and last in the
settings. [default] is not said of `local`, who is the operator.

A budget is of each caller for himself, except that of a team. A team that names a key for one provider orders from the
others with the operator's, unless `providers` leaves them out. Where its variable is not set it cannot order there.
"""

import logging
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.quoting import quote
from ltx_mcp.jobs.callers import LOCAL, CallerLimits
from ltx_mcp.jobs.operator_file import NAME, OperatorFile, ReadAgain

logger = logging.getLogger(__name__)

SETTING = "LTX_MCP_CALLERS_FILE"
BUDGET, CONFIRM, PROVIDERS = "budget_usd_per_day", "confirm_above_usd", "providers"
MEMBERS, EACH, KEY_ENV = "members", "each", "_key_env"
AMOUNTS, COUNTS = (BUDGET, CONFIRM), ("max_live_jobs", "orders_per_minute")
LIMITS = (*AMOUNTS, *COUNTS, PROVIDERS)
OF_EACH = (BUDGET, *COUNTS)
NO_LIMIT = "none"
MAX_USD, MAX_COUNT = 1_000_000_000, 1_000_000
NAMES_KEY = re.compile(r"key|token|secret", re.IGNORECASE)

Values = Mapping[str, Any]
"""What one table says, checked; None is no limit."""


class CallersFile:
    """The limits that a file gives, read again when it has changed. `usual` are those of the settings, `lookup` gives
    the value of a variable. A change that cannot be used is logged, and what was read before stays."""

    def __init__(
        self, path: Path, providers: Sequence[ProviderSpec], usual: CallerLimits, lookup: Callable[[str], str]
    ) -> None:
        """Read it. Raises SetupError, which names the place of what cannot be used."""
        self._lookup = lookup
        self._reader = _Reader(path, providers)
        self._usual = usual
        self._rules = ReadAgain(path, self._read)

    def limits_of(self, caller: str) -> CallerLimits:
        """What this caller may order now."""
        return self._rules.now().limits_of(caller, self._usual)

    def _read(self) -> "_Rules":
        rules = self._reader.read()
        for lack in rules.lacks(self._lookup):
            logger.warning("%s.", lack)
        return rules


def check_callers_file(path: Path, providers: Sequence[ProviderSpec], lookup: Callable[[str], str]) -> Sequence[str]:
    """What its teams lack, a sentence without its end for each. Raises SetupError where it cannot be used."""
    return _Reader(path, providers).read().lacks(lookup)


@dataclass(frozen=True)
class _Team:
    """`values` are those of each member."""

    name: str
    members: tuple[str, ...]
    budget_usd: Decimal | None
    values: Values
    accounts: Mapping[str, str]


@dataclass(frozen=True)
class _Rules:
    """A file that was read; `team_of` is by the name of a member."""

    default: Values
    callers: Mapping[str, Values]
    teams: tuple[_Team, ...]
    team_of: Mapping[str, _Team] = field(default_factory=dict)

    def limits_of(self, caller: str, usual: CallerLimits) -> CallerLimits:
        names = names_of(caller)
        team = next((self.team_of[name] for name in names if name in self.team_of), None)
        found = [self.callers[name] for name in names if name in self.callers]
        found += [team.values] if team else []
        found += [] if caller == LOCAL else [self.default]
        values = ChainMap(*map(dict, found))
        return CallerLimits(
            team=team.name if team else "",
            budget_usd=values.get(BUDGET, usual.budget_usd),
            team_budget_usd=team.budget_usd if team else None,
            max_live_jobs=values.get("max_live_jobs", usual.max_live_jobs),
            orders_per_minute=values.get("orders_per_minute", usual.orders_per_minute),
            confirm_above_usd=values.get(CONFIRM, usual.confirm_above_usd),
            providers=values.get(PROVIDERS, usual.providers),
            accounts=team.accounts if team else {},
            confirm_setting=SETTING if CONFIRM in values else usual.confirm_setting,
        )

    def lacks(self, lookup: Callable[[str], str]) -> Sequence[str]:
        """The variables of teams that are not set, a sentence for each."""
        return [
            f"team {team.name} cannot order from {provider}: {name} is not set"
            for team in self.teams
            for provider, name in team.accounts.items()
            if not lookup(name)
        ]


def names_of(caller: str) -> tuple[str, ...]:
    """The names under which a file may speak of a caller, the nearest first."""
    login, mark, _ = caller.partition("|")
    principal, acts, _ = caller.partition("/")
    users = (f"{principal}/*", principal) if acts else ()
    return (caller, *users, *((f"{login}|*",) if mark else ()))


class _Reader:
    """Reads a file into rules. Raises SetupError; values that may be keys are not shown."""

    def __init__(self, path: Path, providers: Sequence[ProviderSpec]) -> None:
        self._file = OperatorFile(path, "callers file", SETTING)
        self._providers = tuple(facts.name for facts in providers)
        self._key_names = {f"{facts.name}{KEY_ENV}": facts.name for facts in providers if facts.key_env}

    def read(self) -> _Rules:
        table = self._file.table()
        self._check_names("the file", table, ("default", "team", "caller"))
        default = self._values("[default]", self._file.sub(table, "default", "[default]"), LIMITS)
        callers = self._callers(self._file.sub(table, "caller", "[caller]"))
        given = self._file.sub(table, "team", "[team]")
        teams = tuple(self._team(name, self._file.sub(given, name, f"[team.{name}]")) for name in given)
        return _Rules(default, callers, teams, self._members(teams))

    def _callers(self, table: Mapping[str, Any]) -> dict[str, Values]:
        callers: dict[str, Values] = {}
        for given in table:
            place = f'[caller."{given}"]'
            name = self._file.caller(place, given)
            if name in callers:
                raise self._file.bad(place, "stands there twice")
            callers[name] = self._values(place, self._file.sub(table, given, place), LIMITS)
        return callers

    def _team(self, name: str, table: dict[str, Any]) -> _Team:
        place = f"[team.{name}]"
        if not NAME.fullmatch(name):
            raise self._file.bad(f"[team.{quote(name)}]", "a team's name is 1 to 64 letters, digits and any of . _ -")
        for limit in COUNTS:
            if limit in table:
                raise self._file.bad(f"{place} {limit}", f"is of each member: write it below [team.{name}.{EACH}]")
        keys = {known: table[known] for known in self._key_names if known in table}
        known = (MEMBERS, BUDGET, CONFIRM, PROVIDERS, *self._key_names, EACH)
        self._check_names(place, table, known)
        limits = {limit: table[limit] for limit in (BUDGET, CONFIRM, PROVIDERS) if limit in table}
        values = self._values(place, limits, LIMITS)
        each = self._file.sub(table, EACH, f"[team.{name}.{EACH}]")
        for limit in (CONFIRM, PROVIDERS):
            if limit in each:
                raise self._file.bad(f"[team.{name}.{EACH}] {limit}", f"is the team's: write it below {place}")
        of_each = self._values(f"[team.{name}.{EACH}]", each, OF_EACH)
        of_all = {limit: value for limit, value in values.items() if limit != BUDGET}
        accounts = {self._key_names[known]: self._file.variable(f"{place} {known}", keys[known]) for known in keys}
        members = self._file.texts(f"{place} {MEMBERS}", table.get(MEMBERS, []))
        named = tuple(self._file.caller(f"{place} {MEMBERS}", member) for member in members)
        return _Team(name, named, values.get(BUDGET), {**of_all, **of_each}, accounts)

    def _members(self, teams: Iterable[_Team]) -> dict[str, _Team]:
        found: dict[str, _Team] = {}
        for team in teams:
            for member in team.members:
                if member in found:
                    other = found[member].name
                    twice = "twice" if other == team.name else f"also in [team.{other}]; a caller has one team"
                    raise self._file.bad(f"[team.{team.name}] {MEMBERS}", f"{quote(member)} is {twice}")
                found[member] = team
        return found

    # -- values -------------------------------------------------------------------------------------------------

    def _values(self, place: str, table: Mapping[str, Any], known: Sequence[str]) -> Values:
        self._check_names(place, table, known)
        return {name: self._value(f"{place} {name}", name, value) for name, value in table.items()}

    def _value(self, place: str, name: str, value: Any) -> Any:
        if name == PROVIDERS:
            return self._providers_of(place, value)
        if value == NO_LIMIT:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self._file.bad(place, f'should be a number, or "{NO_LIMIT}"')
        if name in AMOUNTS:
            if not (Decimal(value).is_finite() and 0 <= value <= MAX_USD):
                raise self._file.bad(place, "should be an amount of USD such as 5 or 2.50")
            return Decimal(value)
        if not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
            raise self._file.bad(place, f"should be a whole number, at least 1 and at most {MAX_COUNT}")
        return value

    def _providers_of(self, place: str, value: Any) -> tuple[str, ...]:
        names = self._file.texts(place, value)
        if not names:
            raise self._file.bad(place, "should name at least one provider")
        if unknown := [name for name in names if name not in self._providers]:
            raise self._file.bad(place, f"{quote(unknown[0])} is none of {', '.join(self._providers)}")
        return tuple(dict.fromkeys(names))

    def _check_names(self, place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
        for name in table:
            if name in known:
                continue
            if NAMES_KEY.search(name):
                there = f"; a team has {', '.join(self._key_names)}, each the name of a variable"
                raise self._file.bad(f"{place} {quote(name)}", f"no key may stand in this file{there}")
            raise self._file.bad(place, f"{quote(name)} is none of {', '.join(known)}")
