"""Whether an address may be shown and fetched, by its form alone: nothing is resolved here. ssrf.py vets where a name
leads when it is fetched.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

Address = IPv4Address | IPv6Address

MAX_CHARS = 2_048

# The IANA special-purpose registries. Written out, because `is_global` differs between patch releases of Python.
_NOT_PUBLIC_V4 = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_PUBLIC_V6 = ip_network("2000::/3")
_NOT_PUBLIC_V6 = tuple(ip_network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64 = ip_network("64:ff9b::/96")

_INNER = frozenset(
    {"localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "invalid", "onion"}
)
"""Last words of names that no public directory has; `arpa` besides, which is for machines."""
# the last word of a public name begins with a letter: all else is a number in one of the spellings that sockets read
_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,30}([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)\.?", re.ASCII
)
_OF_AN_ADDRESS = "-._~:/?#[]@!$&'()*+,;=%"


def is_public(address: Address) -> bool:
    """Whether this address is one of the open internet; addresses that carry an IPv4 one are judged by it."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _NOT_PUBLIC_V4)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(inner)
    return address in _PUBLIC_V6 and not any(address in net for net in _NOT_PUBLIC_V6)


def is_public_or_loopback(address: Address) -> bool:
    """Whether a provider that itself runs on this machine may point there."""
    return address.is_loopback or is_public(address)


def is_loopback_host(host: str) -> bool:
    """Whether a name or an address is one of this machine, by its form."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def read_address(value: Any, *, is_loopback: bool) -> str:
    """What a provider calls an address, as it can be sent and shown: http or https, a host that is public by its form,
    no user, at most MAX_CHARS characters; empty where it is anything else. Characters that no address holds (blanks,
    quotes, letters beyond ASCII) are percent-encoded. `is_loopback`: the provider is on this machine, and may point
    there."""
    if not isinstance(value, str) or len(value) > MAX_CHARS:
        return ""
    text = value.strip(" ")
    if not text.isprintable() or "\\" in text or text[:8].lower().partition("://")[0] not in ("http", "https"):
        return ""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if "@" in parts.netloc or port == 0:
        return ""
    if not is_public_host(host) and not (is_loopback and "%" not in host and is_loopback_host(host)):
        return ""
    written = quote(text, safe=_OF_AN_ADDRESS)
    return written if len(written) <= MAX_CHARS else ""


def is_public_host(host: str) -> bool:
    """Whether a name or an address is public by its form, wherever the name may lead."""
    try:
        return "%" not in host and is_public(ip_address(host))
    except ValueError:
        found = _NAME.fullmatch(host)
        return found is not None and len(host) <= 253 and found[1] not in _INNER | {"arpa"}


# -- the address of a video in a reply -------------------------------------------------------------------------------

_NO_VIDEO = re.compile(
    "thumb|poster|preview|cover|image|picture|frame|(?<!di)still|sheet|audio|sound|music|mask|caption|subtitle|input|(?<!re)source"
    "|prompt|hook|callback|upload|status|cancel|response|logs?$|docs?$|help|support|dashboard|licen[cs]e|terms|error"
)
_VIDEO = re.compile("video|film|movie")
_PLACE = re.compile("ur[li]$|^href$|^link$|^file$|^output|^download|^result")
_MAX_PLACES, _MAX_DEPTH = 1_000, 6
_NEVER = 4
"""The rank of what is certainly no video."""


def find_video_url(reply: Any, *documented: Any, is_loopback: bool) -> str:
    """The address of a video in a reply: the first of the documented values that is an address, else the one whose
    name says most clearly that it is the video's; empty where there is none."""
    for value in documented:
        if url := read_address(value, is_loopback=is_loopback):
            return url
    ranked = [
        (_rank(names), url)
        for names, text in _texts(reply)
        if (url := read_address(text, is_loopback=is_loopback)) and _rank(names) < _NEVER
    ]
    return min(ranked, key=lambda each: each[0], default=(_NEVER, ""))[1]


def _rank(names: tuple[str, ...]) -> int:
    """How clearly the names that lead to an address say that it is a video's, the clearest first."""
    last = names[-1] if names else ""
    if any(_NO_VIDEO.search(name) for name in names):
        return _NEVER
    if last == "video_url":
        return 0
    if any(_VIDEO.search(name) for name in names):
        return 1
    return 2 if _PLACE.search(last) else 3


def _texts(value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of a reply, with the names that lead to it, down to a depth and a number of places."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    for names, each in waiting:  # grows while it is read
        if isinstance(each, str):
            yield names, each
        inner = (
            each.items() if isinstance(each, dict) else (("", one) for one in each) if isinstance(each, list) else ()
        )
        for name, one in inner:
            if len(waiting) < _MAX_PLACES and len(names) < _MAX_DEPTH:
                waiting.append(((*names, name.lower()) if name else names, one))
