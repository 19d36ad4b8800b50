"""Principals: who sent an HTTP request, and whose jobs the request is about."""

from dataclasses import dataclass
from typing import Any

from ltx_mcp.jobs.callers import LOCAL

READ, ORDER, ACT = "ltx:read", "ltx:order", "ltx:act"
SCOPES = (READ, ORDER, ACT)
USER_SCOPES = (READ, ORDER)
"""What a person's client is told to ask for; ACT is granted to backends on purpose, never asked for."""
SCOPE_KEY = "ltx_mcp.principal"
"""Where the door puts the Principal into the ASGI scope of a request."""


@dataclass(frozen=True)
class Principal:
    """Who was let in. `caller` owns the jobs; it is the principal itself, or a user for whom it may act. `expires_at`
    is in seconds since 1970; None: never."""

    caller: str
    scopes: frozenset[str]
    expires_at: int | None = None

    @property
    def may_order(self) -> bool:
        """Whether it may order, cancel and join."""
        return ORDER in self.scopes

    @property
    def may_read(self) -> bool:
        """Whether it may look at its jobs: whoever may order can always see what became of it."""
        return READ in self.scopes or self.may_order


NOBODY = Principal(LOCAL, frozenset(SCOPES))
"""Whoever calls a server without logins, or over stdio."""
STRANGER = Principal("", frozenset())
"""Whoever has not logged in at a server with logins: owns nothing and may do nothing."""


def principal_of(request: Any) -> Principal:
    """The principal of an HTTP request; NOBODY without a door, and for None, which is stdio."""
    found = None if request is None else request.scope.get(SCOPE_KEY)
    return found if isinstance(found, Principal) else NOBODY
