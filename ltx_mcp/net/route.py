"""How a request leaves this machine: directly, or through the proxy that the environment names; and which certificates
count.

The variables are those that other programs read too. One that cannot be used is refused by its name; its value is never
repeated, since a password may stand in it.
"""

import os
import re
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ltx_mcp.net.address import is_loopback_host
from ltx_mcp.settings import variable

CERT_FILE, CERT_DIR, KEY_LOG = "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"
NO_PROXY, EVERYTHING = "NO_PROXY", "*"
PROXIES = ("HTTPS_PROXY", "ALL_PROXY")
"""The variables that name a proxy for https, the first first. Plain http goes to this machine only, and so directly."""
SYSTEM = "the system's proxy settings"
SCHEMES = ("http", "https", "socks5", "socks5h")
FORM = "as http://host:3128, with a name and a password as http://name:password@host:3128"
MAX_SOCKS_BYTES, MIN_SECRET = 255, 4
_SCHEME = re.compile("[a-z][a-z0-9+.-]{0,15}")
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
_BRACKETS = re.compile(r"\[([^\]]*)\](/\d+)?")


class UnusableError(Exception):
    """A variable whose value cannot be used: `name` is the variable, `fix` what to do."""

    def __init__(self, name: str, why: str, fix: str = "") -> None:
        super().__init__(f"{name} cannot be used: {why}")
        self.name = name
        self.fix = fix or f"Correct or unset {name}."


@dataclass(frozen=True)
class Proxy:
    """A proxy, by the variable that names it. `url` has no user; `login` is name and password."""

    variable: str
    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def named(self) -> str:
        """As it stands in a sentence."""
        return f"the proxy that {self.variable} {'have' if self.variable == SYSTEM else 'names'}"


@dataclass(frozen=True)
class Route:
    """The way out of this machine. `lookup` gives the value of a variable, empty where it is not set."""

    lookup: Callable[[str], str] = variable

    def proxy(self, host: str, port: int) -> Proxy | None:
        """The proxy for https to this host; None where it is reached directly. Raises UnusableError."""
        host = host.strip("[]")
        if is_loopback_host(host):
            return None
        for name in PROXIES:
            given, value = self._given(name)
            if value:
                exceptions = re.split(r"[,\s]+", self._given(NO_PROXY)[1])
                is_direct = any(_is_excepted(entry, host, port) for entry in exceptions if entry)
                return None if is_direct else read_proxy(given, value)
        return self._system_proxy(host)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Passwords of proxies, as they are written and as they are meant; not such as stand in every sentence."""
        logins = [_login(self._given(name)[1]) for name in PROXIES]
        return tuple(form for login in logins for form in {login, unquote(login)} if len(form) >= MIN_SECRET)

    def given(self) -> dict[str, str]:
        """The variables that are set, under the names they were given by."""
        names = (self._given(name) for name in (*PROXIES, NO_PROXY))
        return {name: value for name, value in names if value}

    @property
    def certificates(self) -> tuple[str, str]:
        """The file and the folder that certificates are read from; both empty for those that ship with httpx."""
        file = self.lookup(CERT_FILE)
        return file, "" if file else self.lookup(CERT_DIR)

    def _given(self, name: str) -> tuple[str, str]:
        """The name a variable is given by, in small letters first as other programs do, and its value."""
        small = name.lower()
        return (small, value) if (value := self.lookup(small)) else (name, self.lookup(name))

    def _system_proxy(self, host: str) -> Proxy | None:
        if sys.platform == "win32" or sys.platform == "darwin":  # mypy understands no `in`
            from urllib.request import getproxies, proxy_bypass

            value = getproxies().get("https", "")
            if value and not proxy_bypass(host):
                return read_proxy(SYSTEM, value)
        return None


def read_proxy(name: str, value: str) -> Proxy:
    """What a variable says of a proxy. Raises UnusableError."""
    text = value if "://" in value else f"http://{value}"
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        shown = f"{scheme}:// is none of {', '.join(SCHEMES)}" if _SCHEME.fullmatch(scheme) else "it is no address"
        raise UnusableError(name, shown, f"Give {name} {FORM}, or unset it.")
    try:
        parts = urlsplit(f"http://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
        parts = SplitResult("", "", "", "", "")
    stray = "@" in parts.path + parts.query + parts.fragment or not rest.isprintable() or " " in rest
    if not host or port == 0 or stray:
        fix = (
            f"Give {name} {FORM}; an IPv6 address stands in [ ], and signs such as @ # / ? in a password are written "
            "as %40."
        )
        raise UnusableError(name, "it is no address of a proxy", fix)
    login = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
    if scheme.startswith("socks"):
        _check_socks(name, scheme, login)
    shown_host = f"[{host}]" if ":" in host else host
    return Proxy(name, f"{scheme}://{shown_host}" + (f":{port}" if port else ""), login)


def _check_socks(name: str, scheme: str, login: tuple[str, str] | None) -> None:
    if find_spec("socksio") is None:
        fix = f"pip install socksio, or set {name} to an HTTP proxy."
        raise UnusableError(name, f"{scheme}:// needs the package socksio, which is not installed", fix)
    if login and any(not 0 < len(each.encode()) <= MAX_SOCKS_BYTES for each in login):
        raise UnusableError(name, f"SOCKS takes names and passwords of 1 to {MAX_SOCKS_BYTES} bytes")


def _login(value: str) -> str:
    """The password of an address, as it is written."""
    user, at, _ = (value.partition("://")[2] or value).rpartition("@")
    return user.partition(":")[2] if at else ""


# -- what is reached directly ----------------------------------------------------------------------------------------


def _is_excepted(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY applies to this host, as curl and Go read it: a name with all below it, an address
    or a range, each with a port or not. One that cannot be read applies to nothing."""
    entry = entry.rpartition("://")[2].lower()
    if entry == EVERYTHING:
        return True
    network, only_port = _network(entry), 0
    if network is None:
        entry, only_port = _split_port(entry)
        network = _network(entry)
    if only_port not in (0, port):
        return False
    host = host.lower().rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return network is None and _is_below(host, entry.removeprefix("*").strip("."))
    return network is not None and address.version == network.version and address in network


def _is_below(host: str, name: str) -> bool:
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split_port(entry: str) -> tuple[str, int]:
    host, colon, port = entry.rpartition(":")
    return (host, int(port)) if colon and port.isascii() and port.isdecimal() and len(port) < 6 else (entry, 0)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """A network or a single address; around an address [ ] may stand."""
    found = _BRACKETS.fullmatch(text)
    try:
        return ip_network(f"{found[1]}{found[2] or ''}" if found else text, strict=False)
    except ValueError:
        return None


# -- certificates ----------------------------------------------------------------------------------------------------


def check_certificates(file: str, folder: str) -> None:
    """Raises UnusableError for what names no certificates; both empty are those that ship."""
    if file:
        _check_file(file)
    elif folder and not any(map(_has_certificates, folder.split(os.pathsep))):
        why = "no folder that it names holds certificates under the names that OpenSSL looks for"
        fix = f"Run openssl rehash on the folder of {CERT_DIR}, or name a file with the certificates in {CERT_FILE}."
        raise UnusableError(CERT_DIR, why, fix)


def _check_file(file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        if not Path(file).exists():
            why = "there is no such file"
        elif Path(file).is_dir():
            why = "it is a folder"
        elif isinstance(error, PermissionError):
            why = "the file cannot be read"
        else:
            why = "the file holds no certificate in PEM form"
        fix = f"Set {CERT_FILE} to a file with the certificates to trust, or unset it."
        raise UnusableError(CERT_FILE, why, fix) from error


def _has_certificates(folder: str) -> bool:
    try:
        return any(_HASHED.fullmatch(each.name) for each in Path(folder).iterdir())
    except (OSError, ValueError):
        return False
