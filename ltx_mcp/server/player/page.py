"""The player's page as an MCP App, with the hosts it may load videos from. The page itself is player.html."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp.server.apps import Apps, ResourceCsp

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.jobs.bucket.origin import origin_of
from ltx_mcp.providers.catalog_loader import is_loopback_url

PAGE = "ui://ltx-mcp/player.html"
# current hosts read the nested name; those older than the specification read the flat one
TOOL_META: dict[str, Any] = {"ui": {"resourceUri": PAGE}, "ui/resourceUri": PAGE}


def make_player(catalog: Catalog, lookup: Callable[[str], str], base_url: str = "", bucket: str = "") -> Apps:
    """The extension. `lookup` reads settings of providers' URLs; `base_url` is where our own videos are served, from
    where a `bucket` is led to."""
    origins = [host for facts in catalog.providers for host in facts.film_hosts]
    origins += [_origin(base_url)] if base_url else []
    origins += [origin_of(bucket, lookup)] if base_url and bucket else []
    # providers that were set to this machine serve their videos there too
    urls = [lookup(name) for facts in catalog.providers for name in facts.url_env.values()]
    origins += [_origin(url) for url in urls if url and is_loopback_url(url)]
    apps = Apps()
    apps.add_html_resource(
        PAGE,
        Path(__file__).with_name("player.html").read_text(encoding="utf-8"),
        name="player",
        title="Player",
        description="Follows one job of check_job and plays its film; for hosts that show MCP Apps.",
        csp=ResourceCsp(resource_domains=list(dict.fromkeys(origins))),
        prefers_border=True,
    )
    return apps


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
