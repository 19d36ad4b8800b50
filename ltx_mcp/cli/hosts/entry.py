"""What a host is told of this server: the name it has there, how it is started, and the variables that are handed on.

The manifests and `install` both speak from here, so they never differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ltx_mcp.domain.catalog import ProviderSpec

SERVER = "ltx"
"""What hosts call this server."""
PACKAGE = "ltx-mcp"
"""The distribution and its console script."""
MODULE = ("-P", "-m", PACKAGE.replace("-", "_"))
"""What Python is given to run it: nothing is imported from the folder in which a host starts it."""


@dataclass(frozen=True)
class Variable:
    """An environment variable that a host hands on: a provider's key, or an address it cannot do without."""

    name: str
    title: str
    is_secret: bool

    @property
    def slug(self) -> str:
        """The name as inputs and forms spell it: `fal-key`."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True)
class Start:
    """The command a host runs, without a shell."""

    command: str
    arguments: tuple[str, ...] = ()


IS_NAME_OURS = False
"""Whether this project owns PACKAGE on the package index. Until then nothing starts what lies there under that name:
anybody could publish it, and would be given every key. docs/releasing.md begins with it."""


def published(version: str, *, is_name_ours: bool = IS_NAME_OURS) -> Start:
    """How manifests and links start the server: one exact release, fetched and kept by uv; before there is one, the
    console script that an installation from the checkout put on the PATH."""
    return Start("uvx", (f"{PACKAGE}=={version}",)) if is_name_ours else Start(PACKAGE)


def variables(providers: Sequence[ProviderSpec]) -> tuple[Variable, ...]:
    """One key of each provider, the preferred spelling, and each address that has no default."""
    found: list[Variable] = []
    for facts in providers:
        found += [Variable(name, f"{facts.title} API key", True) for name in facts.key_env[:1]]
        found += [
            Variable(name, f"{facts.title} address", False)
            for use, name in facts.url_env.items()
            if use not in facts.url_default
        ]
    return tuple(found)
