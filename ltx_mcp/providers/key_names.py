"""Variables that look like a provider's key under another name: `FAL_API_KEY`, `LTX_KEY`. Their values are not used."""

import re
from collections.abc import Mapping

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.request import PREVIEW_PROVIDER

ENDINGS = re.compile(r"(?:API|AI|ACCESS|AUTH|SECRET|TOKEN|KEYS?|ID|CREDENTIALS?)+$")
IS_KEY = re.compile(r"KEY|TOKEN|SECRET|CREDENTIAL", re.IGNORECASE)
SHORT = 4
"""A word of a title that is shorter than this is not specific enough: `fal.ai`."""


def find_misnamed(facts: ProviderSpec, environment: Mapping[str, str]) -> list[str]:
    """The names that are set and seem to be meant for a key of this provider; none where one of its own is set."""
    if not facts.key_env or any(environment.get(name, "").strip() for name in facts.key_env):
        return []
    stems = {_stem(name) for name in (facts.name, *facts.key_env)}
    stems |= {word.upper() for word in re.findall(r"[A-Za-z]+", facts.title) if len(word) >= SHORT}
    likely = [name for name, value in environment.items() if IS_KEY.search(name) and value.strip()]
    return sorted(name for name in likely if name not in facts.key_env and _stem(name) in stems)


def _stem(name: str) -> str:
    letters = re.sub(r"[^A-Z0-9]", "", name.upper())
    return ENDINGS.sub("", letters) or letters


def misnamed_text(facts: ProviderSpec, environment: Mapping[str, str]) -> str:
    """`FAL_API_KEY is set, but the name is FAL_KEY.` Empty where nothing is."""
    found = find_misnamed(facts, environment)
    if not found:
        return ""
    return f"{' and '.join(found)} {'is' if len(found) == 1 else 'are'} set, but the name is {facts.key_env[0]}."


def previews_text(catalog: Catalog, environment: Mapping[str, str], what: str) -> str:
    """Why `what` is a preview: no key was found, and which variable may be meant for one; empty where it is wanted."""
    if catalog.is_real or catalog.order == (PREVIEW_PROVIDER,):
        return ""
    wanted = [facts for facts in catalog.providers if facts.key_env and facts.name in catalog.order]
    keys = ", ".join(facts.key_env[0] for facts in wanted)
    hints = [text for facts in wanted if (text := misnamed_text(facts, environment))]
    return " ".join([f"No key found ({keys}), so {what}.", *hints])
