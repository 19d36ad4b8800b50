"""Which variables of this environment a host hands on to the server, and how: by name, as values, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltx_mcp.cli.hosts.entry import EnvVars
from ltx_mcp.cli.hosts.paths import Host, Scope
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.providers.catalog_loader import is_loopback_url, setting_names
from ltx_mcp.settings import Settings, described, secret_names


@dataclass(frozen=True)
class Known:
    """What this version acts on: the providers' keys, all that is secret, what may be shown; and the values. `near` are
    addresses of providers that are set now and lead to this machine, as those of an emulator do."""

    keys: tuple[str, ...]
    secrets: tuple[str, ...]
    public: tuple[str, ...]
    values: Mapping[str, str]
    loopback: tuple[str, ...] = ()

    def value(self, name: str) -> str:
        """As set now; empty when it is not."""
        return self.values.get(name, "")


def read_known(settings: Settings, catalog: Catalog) -> Known:
    """What the settings and the providers' facts name."""
    keys = tuple(name for facts in catalog.providers for name in facts.key_env)
    secrets = (*keys, *sorted(secret_names()))
    names = [each["name"] for each in described()]
    names += [name for facts in catalog.providers for name in setting_names(facts)]
    public = tuple(dict.fromkeys(name for name in names if name not in secrets))
    values = {name: settings.lookup(name) for name in (*secrets, *public)}
    addresses = [name for facts in catalog.providers for name in facts.url_env.values()]
    loopback = tuple(name for name in addresses if values[name] and is_loopback_url(values[name]))
    return Known(keys, secrets, public, values, loopback)


def public_settings() -> tuple[str, ...]:
    """The settings whose value may be shown, without looking at any."""
    return tuple(each["name"] for each in described() if each["name"] not in secret_names())


def hand_on(
    known: Known, host: Host, named: Sequence[str], *, with_values: bool, with_loopback: bool, scope: Scope
) -> tuple[EnvVars, tuple[str, ...]]:
    """The variables for the entry of `host`, and the secrets that it cannot be given. `named` are asked for by name;
    addresses on this machine are left out unless `with_near`.

    Raises CallerError for a name that is not known, and where values are asked for that must not be written.
    """
    strange = [name for name in named if name not in known.secrets]
    if strange:
        allowed = ", ".join(known.secrets)
        raise CallerError(ErrorCode.INVALID_REQUEST, f"--key {strange[0]} is not known. Known: {allowed}.")
    wanted = [name for name in known.secrets if name in named or known.value(name)]
    left_out = () if with_loopback else known.loopback
    values = {name: value for name in known.public if (value := known.value(name)) and name not in left_out}
    if not with_values:
        if not host.by_name:
            return EnvVars((), values), tuple(wanted)
        return EnvVars(tuple(wanted), values), ()
    if scope == "project":
        raise CallerError(
            ErrorCode.INVALID_REQUEST, "--with-values is not for a project, whose files are shared: keys go by name."
        )
    if not host.project and host.by_name:
        raise CallerError(ErrorCode.INVALID_REQUEST, "--with-values writes a file; print shows no key.")
    unset = [name for name in wanted if not known.value(name)]
    if unset:
        raise SetupError(ErrorCode.MISSING_KEY, f"{unset[0]} is not set, so its value cannot be written.", "Set it.")
    return EnvVars((), {name: known.value(name) for name in wanted} | values), ()
