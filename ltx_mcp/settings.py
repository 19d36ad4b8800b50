"""The only reader of the environment. Every setting this version acts on, with its meaning.

Names of keys and addresses are not here: the providers' facts name them, and `lookup` gives their values.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from ltx_mcp.absolute_paths import UNFILLED, with_absolute_paths
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.quoting import quote

PREFIX = "LTX_MCP_"
LEFT_EMPTY = "${user_config."
"""The same, where a form of theirs was left empty on purpose."""
DEFAULT_LIVE_JOBS = 100
DEFAULT_CONNECTIONS = 8
MIN_SIGNING_KEY_CHARS = 32
MIN_SECRET_CHARS = 8
_NAMES_SECRET = re.compile(r"^(?!LTX_MCP_).*(KEY|TOKEN|SECRET|PASSW)", re.IGNORECASE)
FOLDER, BUCKET = "folder", re.compile(r"(s3|gs|az)://[A-Za-z0-9][\w.-]*(/[^?#\s]*)?", re.ASCII)
"""Where films may lie."""
LOG_LEVELS, LOG_FORMATS = ("DEBUG", "INFO", "WARNING", "ERROR"), ("text", "json")


def _setting(name: str, meaning: str, default: str, *, is_secret: bool = False) -> str:
    """A field of Settings, with the words the generated table shows."""
    words = {"name": PREFIX + name, "meaning": meaning, "default": default}
    return field(default="", repr=not is_secret, metadata=words)


@dataclass(frozen=True)
class Settings:
    """The values as text, checked; the properties give them their types."""

    home_text: str = _setting("HOME", "folder for the database, films and inputs", "the user's data folder")
    database_url: str = _setting(
        "DATABASE_URL",
        "PostgreSQL database that several servers share, as postgresql://user:password@host/name",
        "a SQLite file in HOME",
        is_secret=True,
    )
    store_text: str = _setting(
        "VIDEO_STORE",
        "where films and inputs lie: `folder`, or a bucket that several servers share, as s3://bucket/folder, gs:// or "
        "az://",
        "folder: in HOME",
    )
    connections_text: str = _setting(
        "DATABASE_CONNECTIONS", "most connections of one process to its database", str(DEFAULT_CONNECTIONS)
    )
    keep_text: str = _setting(
        "KEEP_DAYS", "days after which an ended job, its film and its history are removed", "kept for ever"
    )
    providers_text: str = _setting(
        "PROVIDERS", "providers `auto` may use, in order, separated by commas", "all but local, as listed above"
    )
    input_dirs: str = _setting(
        "INPUT_DIRS",
        "folders in which the paths of agents may lie, separated like PATH; what a person types may lie anywhere",
        "the working directory; where that is / or the home folder: Pictures, Videos or Movies, Downloads, Desktop",
    )
    models_text: str = _setting("MODELS", "a TOML file laid over one provider's facts", "none")
    budget_text: str = _setting("BUDGET_USD_PER_DAY", "most USD that may be ordered in one UTC day", "no limit")
    confirm_text: str = _setting("CONFIRM_ABOVE_USD", "a person must agree to a price above this many USD", "off")
    max_live_text: str = _setting(
        "MAX_LIVE_JOBS", "most jobs of one caller that may be under way at a time", str(DEFAULT_LIVE_JOBS)
    )
    callers_text: str = _setting(
        "CALLERS_FILE", "a TOML file with what each caller and team of a shared service may order", "the same for all"
    )
    frames_text: str = _setting(
        "FRAMES", "`off` where the host turns pictures into text: no answer of a tool holds one then", "on"
    )
    webhooks_text: str = _setting(
        "WEBHOOKS",
        "a TOML file of who is told when a job has ended, and of providers that may say so here",
        "nobody is told",
    )
    log_level: str = _setting("LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR, to stderr", "WARNING")
    log_format: str = _setting("LOG_FORMAT", "text, or json for one object a line", "text")
    public_url: str = _setting("PUBLIC_URL", "address under which `serve --http` is reached", "the bound address")
    issuers_text: str = _setting(
        "OIDC_ISSUER",
        "identity providers whose access tokens `serve --http` takes, as each calls itself, separated by commas",
        "no login",
    )
    audience_text: str = _setting("OIDC_AUDIENCE", "the audience that those tokens must name", "PUBLIC_URL/mcp")
    tokens_file_text: str = _setting(
        "TOKENS_FILE",
        "TOML file of the tokens that `serve --http` takes; `ltx-mcp token new NAME` makes one",
        "no login",
    )
    signing_key_text: str = _setting(
        "SIGNING_KEY",
        f"secret of at least {MIN_SIGNING_KEY_CHARS} characters that signs links, the same for every server of a "
        "service; to change it, put the new one first, and leave the old one after a comma for a day",
        "none; needed for a login",
        is_secret=True,
    )
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Path:
        """The state folder; not created here. Raises SetupError where nobody says which."""
        if self.home_text:
            return Path(self.home_text).expanduser().absolute()
        import platformdirs

        folder = Path(platformdirs.user_data_dir("ltx-mcp", appauthor=False))
        if folder.parts[:1] == ("~",):  # it would be a folder of that name
            raise _homeless()
        return folder.absolute()

    @property
    def bucket(self) -> str:
        """The address of the bucket; empty for the folder."""
        return "" if self.store_text.lower() == FOLDER else self.store_text.rstrip("/")

    @property
    def providers(self) -> tuple[str, ...]:
        """The operator's order, or empty for the default."""
        return _listed(self.providers_text)

    @property
    def budget_usd(self) -> Decimal | None:
        """USD per UTC day; None is no limit."""
        return Decimal(self.budget_text) if self.budget_text else None

    @property
    def confirm_above_usd(self) -> Decimal | None:
        """USD above which a person must agree; None is never."""
        return Decimal(self.confirm_text) if self.confirm_text else None

    @property
    def keep_days(self) -> int | None:
        """Days an ended job is kept; None is for ever."""
        return int(self.keep_text) if self.keep_text else None

    @property
    def database_connections(self) -> int:
        """Connections that a process may have to its database."""
        return int(self.connections_text or DEFAULT_CONNECTIONS)

    @property
    def max_live_jobs(self) -> int:
        """Jobs of one caller that may be under way at a time."""
        return int(self.max_live_text or DEFAULT_LIVE_JOBS)

    @property
    def oidc_issuers(self) -> tuple[str, ...]:
        """The identity providers, each by its exact name."""
        return _listed(self.issuers_text)

    @property
    def oidc_audience(self) -> str:
        """What an access token must have been made for; empty where neither it nor PUBLIC_URL is set."""
        return self.audience_text or (f"{self.public_url.rstrip('/')}/mcp" if self.public_url else "")

    @property
    def tokens_file(self) -> Path | None:
        """The file of tokens; None is no such login."""
        return Path(self.tokens_file_text).expanduser().absolute() if self.tokens_file_text else None

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The secrets that signatures are made with; the first signs, all are accepted."""
        return _listed(self.signing_key_text)

    @property
    def has_login(self) -> bool:
        """Whether whoever calls over HTTP must say who that is."""
        return bool(self.oidc_issuers or self.tokens_file_text)

    @property
    def callers_file(self) -> Path | None:
        """The file that says what each caller may order."""
        return Path(self.callers_text).expanduser().absolute() if self.callers_text else None

    @property
    def webhooks_file(self) -> Path | None:
        """The file that says who is told of ended jobs."""
        return Path(self.webhooks_text).expanduser().absolute() if self.webhooks_text else None

    @property
    def show_frames(self) -> bool:
        """Whether answers hold pictures of films."""
        return self.frames_text.lower() != "off"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What never stands in a log: each value of whose name that can be told, ours or another's, and its parts."""
        ours = (self.database_url, *self.signing_keys, urlsplit(self.database_url).password or "")
        others = (value for name, value in self.environment.items() if _NAMES_SECRET.search(name))
        return tuple({value.strip() for value in (*ours, *others) if len(value.strip()) >= MIN_SECRET_CHARS})

    def lookup(self, name: str) -> str:
        """The value of a key or address the facts name; empty when it is not set."""
        text = self.environment.get(name, "").strip()
        return "" if UNFILLED.fullmatch(text) else text


def described() -> list[dict[str, str]]:
    """Name, meaning and default of every setting, in order."""
    return [dict(each.metadata) for each in fields(Settings) if each.metadata]


def home_folder() -> Path | None:
    """The home folder of this user; None for one of whom no home is known, such as a container's."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def environment() -> Mapping[str, str]:
    """The whole environment of this process, for who looks at it name by name."""
    return dict(os.environ)


def variable(name: str) -> str:
    """What this process's environment says under a name that is not ours, such as that of a proxy; empty where it is
    not set, or where nobody filled in a host's reference."""
    text = os.environ.get(name, "").strip()
    return "" if UNFILLED.fullmatch(text) else text


def secret_names() -> frozenset[str]:
    """The settings whose value is never shown, nor written down unasked."""
    return frozenset(each.metadata["name"] for each in fields(Settings) if each.metadata and not each.repr)


def wants_json_log() -> bool:
    """Whether this process shall log JSON; asked before the settings are read, which may fail."""
    return os.environ.get(f"{PREFIX}LOG_FORMAT", "").strip().lower() == "json"


def read_overlay_path(environment: Mapping[str, str] | None = None) -> Path | None:
    """The overlay of the facts alone: what it holds says which other settings there are."""
    text = _value(os.environ if environment is None else environment, f"{PREFIX}MODELS")
    try:
        return Path(text).expanduser().absolute() if text else None
    except RuntimeError as error:
        raise _bad("MODELS", text, "a path; ~ can only be a home folder of this machine") from error
    except OSError as error:
        raise _adrift("MODELS", text) from error


def read_settings(environment: Mapping[str, str] | None = None, also: frozenset[str] = frozenset()) -> Settings:
    """The settings in `environment`, with every path absolute; `also` are the names the providers' facts use.

    Raises SetupError for a name with our prefix that nothing acts on, and for a value that cannot be read.
    """
    environment = with_absolute_paths(os.environ if environment is None else environment)
    known = {each.metadata["name"]: each.name for each in fields(Settings) if each.metadata}
    strange = sorted(name for name in environment if name.startswith(PREFIX) and name not in also | known.keys())
    if strange:
        raise SetupError(
            ErrorCode.INVALID_REQUEST,
            f"This version does not act on {', '.join(strange)}.",
            f"Correct or unset it. Known: {', '.join([*known, *sorted(also - known.keys())])}.",
        )
    values = {attribute: _value(environment, name) for name, attribute in known.items()}
    settings = Settings(**values, environment=environment)
    _check(settings)
    return replace(settings, log_level=settings.log_level.upper(), log_format=settings.log_format.lower())


def _check(settings: Settings) -> None:
    if not settings.home_text and home_folder() is None and not settings.environment.get("XDG_DATA_HOME"):
        raise _homeless()
    if settings.log_level and settings.log_level.upper() not in LOG_LEVELS:
        raise _bad("LOG_LEVEL", settings.log_level, f"one of {', '.join(LOG_LEVELS)}")
    if settings.log_format and settings.log_format.lower() not in LOG_FORMATS:
        raise _bad("LOG_FORMAT", settings.log_format, " or ".join(LOG_FORMATS))
    if settings.frames_text and settings.frames_text.lower() not in ("on", "off"):
        raise _bad("FRAMES", settings.frames_text, "on or off")
    if settings.database_url and urlsplit(settings.database_url).scheme not in ("postgresql", "postgres"):
        raise _bad("DATABASE_URL", "", "an address such as postgresql://user:password@host:5432/name")
    if settings.bucket and not BUCKET.fullmatch(settings.bucket):
        raise _bad("VIDEO_STORE", "", "folder, or an address such as s3://films; keys are no part of it")
    counts = (
        ("KEEP_DAYS", settings.keep_text, "days", 365_000),
        ("DATABASE_CONNECTIONS", settings.connections_text, "connections", 1000),
        ("MAX_LIVE_JOBS", settings.max_live_text, "jobs", 1_000_000),
    )
    for name, text, unit, most in counts:
        if text and not _is_whole(text, most):
            raise _bad(name, text, f"a whole number of {unit}, at least 1 and at most {most}")
    for name, text in (("BUDGET_USD_PER_DAY", settings.budget_text), ("CONFIRM_ABOVE_USD", settings.confirm_text)):
        if text and not _is_amount(text):
            raise _bad(name, text, "an amount such as 5 or 2.50")
    if settings.public_url and not _is_address(settings.public_url):
        shown = "" if "@" in settings.public_url else settings.public_url
        raise _bad("PUBLIC_URL", shown, "an address such as https://films.example.com")
    _check_logins(settings)
    paths = {
        "HOME": settings.home_text,
        "MODELS": settings.models_text,
        "TOKENS_FILE": settings.tokens_file_text,
        "CALLERS_FILE": settings.callers_text,
        "WEBHOOKS": settings.webhooks_text,
    }
    for name, text in paths.items():
        try:
            if text:
                Path(text).expanduser().absolute()
        except RuntimeError as error:
            raise _bad(name, text, "a path; ~ can only be a home folder of this machine") from error
        except OSError as error:
            raise _adrift(name, text) from error


def _check_logins(settings: Settings) -> None:
    # a comma alone must not be read as no login
    for issuer in settings.oidc_issuers or filter(None, (settings.issuers_text,)):
        if not _is_address(issuer):
            shown = "" if "@" in issuer else issuer
            raise _bad("OIDC_ISSUER", shown, "an address such as https://login.example.com, just as it calls itself")
    if any(len(key) < MIN_SIGNING_KEY_CHARS for key in settings.signing_keys):
        how = "openssl rand -base64 32 makes one"
        raise _bad("SIGNING_KEY", "", f"secrets of at least {MIN_SIGNING_KEY_CHARS} characters each; {how}")


def _value(environment: Mapping[str, str], name: str) -> str:
    """What a setting of ours says; empty where it is not set. Raises SetupError for a reference nobody filled in: a
    budget or a home that somebody meant to give must not become the default."""
    text = environment.get(name, "").strip()
    if not UNFILLED.fullmatch(text):
        return text
    if text.startswith(LEFT_EMPTY):
        return ""
    raise _bad(name.removeprefix(PREFIX), text, "the value itself: the host did not fill in this reference")


def _is_whole(text: str, most: int) -> bool:
    """Whether it is a number from 1 to `most`; one of thousands of digits is not even read."""
    return text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most


def _is_amount(text: str) -> bool:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return amount.is_finite() and amount >= 0


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _is_address(text: str) -> bool:
    """Whether films can be reached below it: a scheme, a host, and at most a path."""
    try:
        url = urlsplit(text)
        whole = bool(url.hostname) and url.port != 0 and not any(each.isspace() for each in text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and whole and not (url.query or url.fragment or url.username)


def _adrift(name: str, text: str) -> SetupError:
    message = f"{PREFIX}{name}={text!r} is relative, and the working directory is gone."
    return SetupError(ErrorCode.INVALID_REQUEST, message, "Give an absolute path.")


def _homeless() -> SetupError:
    message = "This user has no home folder, so there is no place for jobs and videos."
    return SetupError(ErrorCode.STORAGE_FAILED, message, f"Set {PREFIX}HOME to a folder that can be written.")


def _bad(name: str, value: str, allowed: str) -> SetupError:
    shown = f"={quote(value)}" if value else ""
    return SetupError(ErrorCode.INVALID_REQUEST, f"{PREFIX}{name}{shown} cannot be used; give {allowed}.")
