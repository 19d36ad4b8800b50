"""The only reader of the environment. Every setting this version acts on, with its meaning.

Names of keys and addresses are not here: the providers' facts name them, and `lookup` gives their values.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ltx_mcp.domain.errors import ErrorCode, SetupError

PREFIX = "LTX_MCP_"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _setting(name: str, meaning: str, default: str) -> str:
    """A field of Settings, with the words the generated table shows."""
    return field(default="", metadata={"name": PREFIX + name, "meaning": meaning, "default": default})


@dataclass(frozen=True)
class Settings:
    """The values as text, checked; the properties give them their types."""

    home_text: str = _setting("HOME", "folder for the database, films and inputs", "the user's data folder")
    providers_text: str = _setting(
        "PROVIDERS", "providers `auto` may use, in order, separated by commas", "fal,ltx,netwrck,bytecompute"
    )
    input_dirs: str = _setting(
        "INPUT_DIRS",
        "folders a path argument may lie in, separated like PATH",
        "the working directory; where that is / or the home folder: Pictures, Videos or Movies, Downloads, Desktop",
    )
    models_text: str = _setting("MODELS", "a TOML file laid over one provider's facts", "none")
    budget_text: str = _setting("BUDGET_USD_PER_DAY", "most USD that may be ordered in one UTC day", "no limit")
    log_level: str = _setting("LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR, to stderr", "WARNING")
    public_url: str = _setting("PUBLIC_URL", "address under which `serve --http` is reached", "the bound address")
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Path:
        """The state folder; not created here."""
        if self.home_text:
            return Path(self.home_text).expanduser().absolute()
        import platformdirs

        return Path(platformdirs.user_data_dir("ltx-mcp", appauthor=False))

    @property
    def providers(self) -> tuple[str, ...]:
        """The operator's order, or empty for the default."""
        return tuple(name.strip() for name in self.providers_text.split(",") if name.strip())

    @property
    def models(self) -> Path | None:
        """The overlay of the facts."""
        return Path(self.models_text).expanduser() if self.models_text else None

    @property
    def budget_usd(self) -> Decimal | None:
        """USD per UTC day; None is no limit."""
        return Decimal(self.budget_text) if self.budget_text else None

    def lookup(self, name: str) -> str:
        """The value of a key or address the facts name; empty when it is not set."""
        return self.environment.get(name, "").strip()


def described() -> list[dict[str, str]]:
    """Name, meaning and default of every setting, in order."""
    return [dict(each.metadata) for each in fields(Settings) if each.metadata]


def read_settings(environment: Mapping[str, str] | None = None, also: frozenset[str] = frozenset()) -> Settings:
    """The settings in `environment`; `also` are the names the providers' facts use.

    Raises SetupError for a name with our prefix that nothing acts on, and for a value that cannot be read.
    """
    environment = os.environ if environment is None else environment
    known = {each.metadata["name"]: each.name for each in fields(Settings) if each.metadata}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and name not in also:
            raise SetupError(
                ErrorCode.INVALID_REQUEST,
                f"{name} is set, but this version does not act on it.",
                f"Unset it. Known: {', '.join(known)}.",
            )
    values = {attribute: environment.get(name, "").strip() for name, attribute in known.items()}
    values["log_level"] = values["log_level"].upper()
    settings = Settings(**values, environment=environment)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if settings.log_level and settings.log_level not in LOG_LEVELS:
        raise _bad("LOG_LEVEL", settings.log_level, f"one of {', '.join(LOG_LEVELS)}")
    if settings.budget_text:
        try:
            amount = Decimal(settings.budget_text)
        except InvalidOperation as error:
            raise _bad("BUDGET_USD_PER_DAY", settings.budget_text, "an amount such as 5 or 2.50") from error
        if not amount.is_finite() or amount < 0:
            raise _bad("BUDGET_USD_PER_DAY", settings.budget_text, "an amount such as 5 or 2.50")
    if settings.public_url and not settings.public_url.startswith(("http://", "https://")):
        raise _bad("PUBLIC_URL", settings.public_url, "an address that starts with http:// or https://")


def _bad(name: str, value: str, allowed: str) -> SetupError:
    return SetupError(ErrorCode.INVALID_REQUEST, f"{PREFIX}{name}={value!r} cannot be used; give {allowed}.")
