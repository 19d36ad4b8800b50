"""Turns settings into plain values, for the server and the terminal alike."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_mcp.domain.plan import Availability, Catalog
from ltx_mcp.presentation.kept_keys import read_kept_keys
from ltx_mcp.providers.catalog_loader import ended_choices, make_catalog, read_providers, setting_names
from ltx_mcp.providers.key_names import misnamed_text, previews_text
from ltx_mcp.settings import Settings, home_folder, read_overlay_path, read_settings

if TYPE_CHECKING:
    from ltx_mcp.jobs.callers import LimitsOf
    from ltx_mcp.jobs.config import JobsConfig

logger = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def read_edge(
    home: str = "", environment: Mapping[str, str] | None = None, *, with_keyring: bool = False
) -> tuple[Settings, Catalog]:
    """The settings in `environment`, or this process's, with another `home` if given, and their catalog. Keys from the
    keyring are added to this process's settings, and to others `with_keyring`. Raises SetupError."""
    providers = read_providers(read_overlay_path(environment))
    also = frozenset(name for facts in providers for name in setting_names(facts))
    settings = read_settings(environment, also)
    settings = replace(settings, home_text=str(Path(home).expanduser().absolute())) if home else settings
    if environment is None or with_keyring:
        kept = read_kept_keys(settings.home, settings.lookup, [facts.key_env for facts in providers])
        settings = replace(settings, environment={**settings.environment, **kept}) if kept else settings
    return settings, _with_hints(make_catalog(providers, settings.providers, settings.lookup), settings)


def _with_hints(catalog: Catalog, settings: Settings) -> Catalog:
    """Where a key is missing, but a variable of a similar name seems to hold it, say so in the reason."""
    hints = {facts.name: misnamed_text(facts, settings.environment) for facts in catalog.providers}
    availability = {
        name: current
        if current.usable or not hints[name]
        else Availability(False, f"{current.unavailable_reason} {hints[name]}")
        for name, current in catalog.availability.items()
    }
    return replace(catalog, availability=availability)


def warn_of_ended(settings: Settings, catalog: Catalog) -> None:
    """Log a warning for each setting that has no effect any more."""
    for text in ended_choices(catalog.providers, settings.lookup).values():
        logger.warning("%s", text)


def warn_of_previews(settings: Settings, catalog: Catalog) -> None:
    """Log it if only previews can be made without having been asked for."""
    if text := previews_text(catalog, settings.environment, "films are previews"):
        logger.info("%s", text)


def working_folder() -> Path | None:
    """The working directory; None if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def make_config(settings: Settings, catalog: Catalog, *, paths: bool, is_typed: bool = False) -> "JobsConfig":
    """Plain values for Jobs. `paths`: callers share this machine's disk; `is_typed`: a person at a terminal typed them.
    Imports heavy modules."""
    from ltx_mcp.jobs.config import JobsConfig
    from ltx_mcp.media.inputs import input_folders

    cwd = working_folder()
    folders = input_folders(settings.input_dirs or None, cwd, home_folder()) if paths else None
    return JobsConfig(
        settings.home,
        catalog,
        settings.budget_usd,
        folders,
        settings.lookup,
        settings.confirm_above_usd,
        settings.database_url,
        settings.keep_days,
        settings.max_live_jobs,
        cwd,
        is_typed,
        read_callers(settings, catalog),
        settings.database_connections,
        settings.bucket,
        settings.webhooks_file,
    )


def check_webhooks(settings: Settings) -> None:
    """Raises SetupError where the file of LTX_MCP_WEBHOOKS cannot be used."""
    if settings.webhooks_file is not None:
        from ltx_mcp.jobs.webhooks.file import read_webhooks

        read_webhooks(settings.webhooks_file, settings.lookup)


def read_callers(settings: Settings, catalog: Catalog) -> "LimitsOf | None":
    """What each caller may order, by the file of LTX_MCP_CALLERS_FILE; None without one. Raises SetupError."""
    if settings.callers_file is None:
        return None
    from ltx_mcp.jobs.callers import CallerLimits
    from ltx_mcp.jobs.callers_file import CallersFile

    usual = CallerLimits(max_live_jobs=settings.max_live_jobs, confirm_above_usd=settings.confirm_above_usd)
    return CallersFile(settings.callers_file, catalog.providers, usual, settings.lookup).limits_of
