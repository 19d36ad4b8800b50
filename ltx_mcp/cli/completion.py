"""`completion`, and what TAB offers: words of an option, providers and models, files and jobs.

Read quickly and without the database's own code; whatever is wrong with settings or database, TAB offers nothing.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.job import ACTIVE_STATES

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

MOST = 50
BUSY_S = 0.2
MEDIA = ("image", "end_image", "audio", "video")
FRAMES = "#last"
BEGUN = ("job", "set")
"""From here on a media argument is taken for a job: files that begin so are given by `./job…`."""
TAKE = "set_id || '/' || take"
ZSH_READY = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"


@click.command(
    epilog="\b\nbash:  echo 'eval \"$(ltx-mcp completion bash)\"' >> ~/.bashrc\n"
    "zsh:   echo 'eval \"$(ltx-mcp completion zsh)\"' >> ~/.zshrc\n"
    "fish:  ltx-mcp completion fish > ~/.config/fish/completions/ltx-mcp.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, models, files and jobs with TAB."""
    maker = get_completion_class(shell)
    assert maker is not None
    script = maker(context.find_root().command, {}, "ltx-mcp", "_LTX_MCP_COMPLETE").source()
    if shell == "zsh":  # its first line is for those who put the script into a folder of completions
        first, _, rest = script.partition("\n")
        script = f"{first}\n{ZSH_READY}\n{rest}"
    print(script)


def completer_of(name: str, choices: Sequence[str]) -> Completer | None:
    """What TAB offers for an option; None: nothing."""
    if name in MEDIA:
        return complete_media(FRAMES if "image" in name else "")
    if name in ("provider", "model", "operation"):
        return lambda context, parameter, prefix: _starting_with(prefix, _from_facts(name))
    return (lambda context, parameter, prefix: _starting_with(prefix, choices)) if choices else None


def complete_media(after: str = "") -> Completer:
    """Files of this folder, and from `job` or `set` on the jobs that have a film or will; `after` comes behind the id
    of a job or the name of a take."""

    def complete(context: click.Context, parameter: click.Parameter, prefix: str) -> list[CompletionItem]:
        files = [CompletionItem(prefix, type="file")]
        if not prefix.startswith(BEGUN):
            return files
        return [*files, *_jobs(prefix, {"succeeded", *ACTIVE_STATES}, after)]

    return complete


def complete_files(context: click.Context, parameter: click.Parameter, prefix: str) -> list[CompletionItem]:
    """Files of this folder."""
    return [CompletionItem(prefix, type="file")]


def complete_job(*states: str) -> Completer:
    """Recent jobs, takes by their names, in one of these states if any is given."""
    return lambda context, parameter, prefix: _jobs(prefix, set(states))


def _starting_with(prefix: str, words: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(prefix)]


def _from_facts(name: str) -> Sequence[str]:
    from ltx_mcp.providers.catalog_loader import read_providers
    from ltx_mcp.settings import read_overlay_path

    try:
        providers = read_providers(read_overlay_path())
    except LtxError:
        return ()
    if name == "provider":
        return ("auto", *(facts.name for facts in providers))
    rows = [row for facts in providers for row in facts.offer]
    words = [row.operation for row in rows] if name == "operation" else ["auto", *(row.model for row in rows)]
    return tuple(dict.fromkeys(words))


def _jobs(prefix: str, states: set[str], after: str = "") -> list[CompletionItem]:
    return [
        CompletionItem(job_id + after, help=f"{state}: {_short(prompt)}")
        for job_id, state, prompt in _recent()
        if (job_id + after).startswith(prefix) and (not states or state in states)
    ]


def _recent() -> list[Any]:
    """Name, state and prompt of the newest jobs of this machine's database; none where it is another database."""
    from ltx_mcp.presentation.config import read_edge
    from ltx_mcp.settings import environment

    names = f"coalesce({TAKE}, id)"
    query = f"SELECT {names}, state, prompt FROM jobs WHERE caller = 'local' ORDER BY created_at DESC, id DESC LIMIT ?"
    try:
        settings, _ = read_edge(environment=environment())
        if settings.database_url:
            return []
        address = f"{(settings.home / 'jobs.sqlite').as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as database:
            return database.execute(query, (MOST,)).fetchall()
    except (LtxError, sqlite3.Error, OSError):
        return []


def _short(prompt: str) -> str:
    """On one line, and without what the scripts of the shells split at."""
    words = "".join(each if each.isprintable() and each != "," else " " for each in prompt).split()
    return " ".join(words)[:40]
