"""The way out of this machine: the proxy and the certificates that the environment names, and whether films come by it.

Nothing is ordered, no key goes along, and no value of a variable is shown.
"""

from urllib.parse import urlsplit

import anyio

from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.net.diagnose import diagnose
from ltx_mcp.net.route import CERT_FILE, NO_PROXY, Route, UnusableError, check_certificates, read_proxy
from ltx_mcp.net.ssrf import UNREACHED, EgressBlocked, reach
from ltx_mcp.providers.base import CHECK_S

OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""What other programs read certificates from, and this one does not."""


def check_network(route: Route | None = None) -> list[Finding]:
    """What is set for the way out; nothing is said where nothing is."""
    route = route or Route()
    return [*_proxy_lines(route), *_certificate_lines(route)]


def _proxy_lines(route: Route) -> list[Finding]:
    given = route.given()
    straight = [name for name in given if name.upper() == NO_PROXY]
    names = [name for name in given if name not in straight]
    if not names:
        only_http = [name for name in ("http_proxy", "HTTP_PROXY") if route.lookup(name)]
        return [fine("proxy", f"none for https: {only_http[0]} is for plain http alone")] if only_http else []
    try:
        read_proxy(names[0], given[names[0]])
    except UnusableError as error:
        return [failure("proxy", f"{error}, so no order can be sent", error.fix)]
    but = f", but to what {straight[0]} lists" if straight else ""
    return [fine("proxy", f"orders, uploads and films go through the one that {names[0]} names{but}")]


def _certificate_lines(route: Route) -> list[Finding]:
    try:
        check_certificates(*route.certificates)
    except UnusableError as error:
        return [failure("certificates", f"{error}, so no order can be sent", error.fix)]
    unread = [name for name in OTHERS if route.lookup(name)]
    if unread and not any(route.certificates):
        return [warning("certificates", f"{unread[0]} is set, which is not read here", f"Set {CERT_FILE} to its file.")]
    return []


def proxy_of(url: str) -> str:
    """The variable that names the proxy on the way to an address; empty where there is none, or none that works."""
    parts = urlsplit(url)
    try:
        proxy = Route().proxy(parts.hostname or "", parts.port or 443) if parts.scheme == "https" else None
    except UnusableError:
        return ""
    return proxy.variable if proxy else ""


async def check_video_hosts(facts: ProviderSpec) -> list[Finding]:
    """Whether the host that films of a provider lie on can be reached, the way a film would come."""
    if not facts.film_url:
        return []
    what, host = f"films of {facts.name}", urlsplit(facts.film_url).netloc
    proxy = proxy_of(facts.film_url)
    by = f", asked through the proxy that {proxy} names" if proxy else ""
    try:
        with anyio.fail_after(CHECK_S):
            await reach(facts.film_url, CHECK_S)
    except UNREACHED as error:
        why = diagnose(error, CHECK_S)
        mend = why.fix or "Films are fetched from there: open the network or the proxy for it."
        words = f"{host} {error}" if isinstance(error, EgressBlocked) and by else f"{host} {why.words}{by}"
        return [failure(what, words, mend)]
    return [fine(what, f"{host} answers")]
