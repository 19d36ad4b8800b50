"""Callers: what each is called, and what it may order.

A caller owns jobs, keys and spending. Its name is made of parts that are percent-encoded before they are joined, so
that no two callers have one name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import quote, unquote

from ltx_mcp.domain.confirmation import CONFIRM_SETTING

LOCAL = "local"
"""The caller of stdio, of the terminal, and of a server without logins."""
EVERYBODY = "all"
"""What an operator calls all callers."""


@dataclass(frozen=True)
class CallerLimits:
    """What a caller may order; None: no limit. `team_budget_usd` is of all of `team` together. `providers` are those
    `auto` may use, in order; empty: the operator's. `accounts` names, for a provider, the account of the team: the
    variable that holds its key, never the key. `confirm_setting` is what says from which price on a
    person must agree."""

    team: str = ""
    budget_usd: Decimal | None = None
    team_budget_usd: Decimal | None = None
    max_live_jobs: int | None = None
    orders_per_minute: int | None = None
    confirm_above_usd: Decimal | None = None
    providers: tuple[str, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    confirm_setting: str = CONFIRM_SETTING


LimitsOf = Callable[[str], CallerLimits]
"""The limits of a caller, by its name, as they are now."""


def oidc_caller(issuer: str, subject: str) -> str:
    """Whom an identity provider calls `subject`."""
    return f"{quote(issuer, safe='')}|{quote(subject, safe='')}"


def token_caller(name: str) -> str:
    """The holder of the token `name` of the tokens file."""
    return f"token|{quote(name, safe='')}"


def user_caller(principal: str, user: str) -> str:
    """The user for whom the caller `principal` acts."""
    return f"{principal}/{quote(user, safe='')}"


def user_of(caller: str) -> str:
    """The user for whom this caller acts, as it was named; empty where it acts for nobody."""
    return unquote(caller.partition("/")[2])


@dataclass(frozen=True)
class Named:
    """A caller, or with `is_prefix` all whose names begin so."""

    text: str
    is_prefix: bool = False

    def is_said_of(self, caller: str) -> bool:
        """Whether this caller is named."""
        return caller.startswith(self.text) if self.is_prefix else caller == self.text


def named_by(name: str) -> tuple[Named, ...]:
    """Whom a name in an operator's file stands for: the caller and each user for whom it acts, or with `*` at its end
    all whose names begin so. `names_of` in callers_file.py is the same from the caller's side."""
    if name.endswith("*"):
        return (Named(name[:-1], is_prefix=True),)
    acts = "|" in name and "/" not in name
    return (Named(name), *((Named(f"{name}/", is_prefix=True),) if acts else ()))


def is_pattern(whose: str) -> bool:
    """Whether this stands for several callers: `all` for everybody, or the beginning of names up to a `|` or `/`, as
    `token|shop/` for the users of `token|shop`. No caller's own name ends so."""
    return whose == EVERYBODY or whose.endswith(("|", "/"))


def matches(whose: str, caller: str) -> bool:
    """Whether the name or pattern `whose` stands for this caller."""
    if not is_pattern(whose):
        return caller == whose
    return whose == EVERYBODY or caller.startswith(whose)
