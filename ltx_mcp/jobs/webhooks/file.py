"""The file of LTX_MCP_WEBHOOKS: who is told when a job has ended, and which providers may tell us that one has news.

[webhook.shop]
url = "https://shop.example.com/hooks/ltx"
secret_envs = ["SHOP_HOOK_SECRET"] # variables that hold the secrets, or `secrets = ["whsec_…"]`; the first signs,
                                   # and all do, so that a receiver can change from one to the next
callers = ["token|shop"]           # as in the callers file, each user of token|shop too; left out: everybody
events = ["job.succeeded"]         # also job.failed, job.cancelled, job.unknown; left out: all four

[webhook.inside]
url = "http://films.internal:8080/ltx"
secret_envs = ["INSIDE_HOOK_SECRET"]
allow_private = true               # an address of an inner network, and http

[incoming]
providers = ["fal"]                # their webhooks are hints to look now, never the truth
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ltx_mcp.domain.job import State
from ltx_mcp.domain.quoting import quote
from ltx_mcp.jobs.callers import Named, named_by
from ltx_mcp.jobs.operator_file import NAME, OperatorFile
from ltx_mcp.jobs.webhooks.signing import MAX_BYTES, MIN_BYTES, PREFIX, read_secret

SETTING = "LTX_MCP_WEBHOOKS"
EVENTS = {f"job.{state}": state for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNKNOWN)}
INCOMING = ("fal",)
"""The providers whose webhooks are understood."""
FIELDS = ("url", "secrets", "secret_envs", "callers", "events", "allow_private")
MAX_SECRETS, MAX_URL_CHARS = 5, 2_048
EVERYBODY = Named("", is_prefix=True)
A_SECRET = f"{PREFIX} and {MIN_BYTES} to {MAX_BYTES} bytes in base64"
NAMES_SECRET = re.compile(r"key|token|secret|whsec", re.IGNORECASE)


@dataclass(frozen=True)
class Webhook:
    """Whom to tell of which ends. `keys` sign, the first first. `allow_private`: also an address of an inner network,
    and http."""

    name: str
    url: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    callers: tuple[Named, ...] = (EVERYBODY,)
    states: tuple[State, ...] = tuple(EVENTS.values())
    allow_private: bool = False

    @property
    def url_sha256(self) -> str:
        """What the database knows of the address: whether it is another one."""
        return hashlib.sha256(self.url.encode()).hexdigest()

    @property
    def host(self) -> str:
        """The host that is told; the rest of an address may be a secret."""
        return urlsplit(self.url).hostname or ""

    def wants(self, caller: str, state: str) -> bool:
        """Whether it is to be told of this end of a job of this caller."""
        return state in self.states and any(each.is_said_of(caller) for each in self.callers)


@dataclass(frozen=True)
class Webhooks:
    """What the file says; `incoming` are the providers that may tell us that a job has news."""

    outgoing: Mapping[str, Webhook] = field(default_factory=dict)
    incoming: tuple[str, ...] = ()


def read_webhooks(path: Path, lookup: Callable[[str], str]) -> Webhooks:
    """Read the file; `lookup` gives the value of a variable. Raises SetupError, which names the place of what cannot be
    used, and shows no secret."""
    return _WebhooksReader(OperatorFile(path, "webhooks file", SETTING), lookup).read()


@dataclass(frozen=True)
class _WebhooksReader:
    file: OperatorFile
    lookup: Callable[[str], str]

    def read(self) -> Webhooks:
        table = self.file.table()
        self._check_names("the file", table, ("webhook", "incoming"))
        given = self.file.sub(table, "webhook", "[webhook]")
        hooks = {name: self._webhook(name, given) for name in given}
        incoming = self.file.sub(table, "incoming", "[incoming]")
        self._check_names("[incoming]", incoming, ("providers",))
        return Webhooks(hooks, self._some("[incoming] providers", incoming.get("providers", []), INCOMING))

    def _webhook(self, name: str, given: Mapping[str, Any]) -> Webhook:
        if not NAME.fullmatch(name):
            shown = "a name" if name.startswith(PREFIX) else quote(name)
            reason = "a webhook's name is 1 to 64 letters, digits and any of . _ -"
            raise self.file.bad(f"[webhook.{shown}]", reason)
        place = f"[webhook.{name}]"
        table = self.file.sub(given, name, place)
        self._check_names(place, table, FIELDS)
        is_private = table.get("allow_private", False)
        if not isinstance(is_private, bool):
            raise self.file.bad(f"{place} allow_private", "should be true or false")
        url = self._url(f"{place} url", table.get("url"), is_private=is_private)
        events = self._some(f"{place} events", table.get("events", list(EVENTS)), tuple(EVENTS))
        if not events:
            raise self.file.bad(f"{place} events", f"should name some of {', '.join(EVENTS)}")
        states = tuple(EVENTS[event] for event in events)
        return Webhook(name, url, self._keys(place, table), self._callers(place, table), states, is_private)

    def _url(self, place: str, value: Any, *, is_private: bool) -> str:
        """An address, which is shown nowhere: its path or query may be a secret."""
        parts = _split(value)
        if parts is None or not parts.hostname or parts.scheme not in ("http", "https") or parts.fragment:
            raise self.file.bad(place, "should be an address such as https://shop.example.com/hooks/ltx")
        if "@" in parts.netloc:
            raise self.file.bad(place, "should be an address without user name or password")
        if parts.scheme == "http" and not is_private:
            raise self.file.bad(place, "should begin with https; http is for allow_private = true")
        return str(value)

    def _keys(self, place: str, table: Mapping[str, Any]) -> tuple[bytes, ...]:
        if ("secrets" in table) == ("secret_envs" in table):
            raise self.file.bad(place, "should have either secrets or secret_envs")
        name = "secrets" if "secrets" in table else "secret_envs"
        given = self.file.texts(f"{place} {name}", table[name])
        if not 1 <= len(given) <= MAX_SECRETS:
            raise self.file.bad(f"{place} {name}", f"should be 1 to {MAX_SECRETS} of them")
        if name == "secrets":
            return tuple(self._key(f"{place} secrets, {n}", text) for n, text in enumerate(given, 1))
        return tuple(self._key_in(f"{place} secret_envs, {n}", text) for n, text in enumerate(given, 1))

    def _key_in(self, place: str, given: str) -> bytes:
        name = self.file.variable(place, given, meant="SHOP_HOOK_SECRET; secrets themselves stand in secrets")
        if not (text := self.lookup(name)):
            raise self.file.bad(place, f"{name} is not set")
        return self._key(f"{place} ({name})", text)

    def _key(self, place: str, text: str) -> bytes:
        if (key := read_secret(text)) is None:
            raise self.file.bad(place, f"should be {A_SECRET}")
        return key

    def _callers(self, place: str, table: Mapping[str, Any]) -> tuple[Named, ...]:
        if "callers" not in table:
            return (EVERYBODY,)
        place = f"{place} callers"
        given = self.file.texts(place, table["callers"])
        if not given:
            raise self.file.bad(place, "should name at least one caller; left out it is everybody")
        return tuple(dict.fromkeys(each for text in given for each in named_by(self.file.caller(place, text))))

    def _some(self, place: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
        given = self.file.texts(place, value)
        if unknown := [each for each in given if each not in known]:
            raise self.file.bad(place, f"{quote(unknown[0])} is none of {', '.join(known)}")
        return tuple(dict.fromkeys(given))

    def _check_names(self, place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
        if unknown := [name for name in table if name not in known]:
            shown = "a name" if NAMES_SECRET.search(unknown[0]) else quote(unknown[0])
            raise self.file.bad(place, f"{shown} is none of {', '.join(known)}")


def _split(value: Any) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    if not isinstance(value, str) or len(value) > MAX_URL_CHARS or not (value.isascii() and value.isprintable()):
        return None
    try:
        parts = urlsplit(value)
        return None if parts.port == 0 or " " in value or "\\" in value else parts
    except ValueError:
        return None
