"""`login` and `logout`: a provider's key put into the system's keyring, or taken out. No key is ever shown."""

import sys

import click

from ltx_mcp.cli.common import report_errors
from ltx_mcp.cli.completion import completer_of
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.quoting import quote
from ltx_mcp.jobs.home import open_home
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.presentation.kept_keys import drop_key, keep_key, kept_names
from ltx_mcp.settings import Settings, environment

MAX_KEY = 4096


@click.command(short_help="Keep a provider's key in the system's keyring.")
@click.argument("provider", shell_complete=completer_of("provider", ()))
def login(provider: str) -> None:
    """Keep the key of PROVIDER in the system's keyring, where every command and server of yours finds it.

    It is asked for, or read from stdin where that is a pipe. A key in the environment comes first.
    """
    with report_errors():
        settings, name = _key_of(provider)
        key = _read_key(name)
        open_home(settings.home)
        keep_key(settings.home, name, key)
    print(f"{name} is kept in the system's keyring; ltx-mcp logout {provider} takes it out.")
    if settings.lookup(name):
        print(f"{name} is set in the environment, too, and that one is used here.")


@click.command(short_help="Take a provider's key out of the keyring.")
@click.argument("provider", shell_complete=completer_of("provider", ()))
def logout(provider: str) -> None:
    """Take the key of PROVIDER out of the system's keyring."""
    with report_errors():
        settings, name = _key_of(provider)
        was_there = name in kept_names(settings.home)
        drop_key(settings.home, name)
    print(f"{name} is not in the keyring any more." if was_there else f"{name} was not in the keyring.")


def _key_of(provider: str) -> tuple[Settings, str]:
    """The settings without what the keyring holds, and the name of the provider's key. Raises CallerError."""
    settings, catalog = read_edge(environment=environment())
    names = {facts.name: facts.key_env[0] for facts in catalog.providers if facts.key_env}
    if provider not in names:
        raise CallerError(
            ErrorCode.INVALID_REQUEST, f"{quote(provider)} needs no key; those that do: {', '.join(names)}."
        )
    return settings, names[provider]


def _read_key(name: str) -> str:
    key = click.prompt(name, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline(MAX_KEY)
    key = str(key).strip()
    if not key or not key.isprintable() or not key.isascii() or " " in key:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{name}: that is no key; give it alone on one line.")
    return key
