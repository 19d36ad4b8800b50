"""Claude Code at a service with a login: with a token that an operator gave out, and by an identity provider."""

import os
import pty
import re
import select
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2

from ltx_mcp.cli.hosts.entry import SERVER
from tests.hosts.room import CONNECTED, LONGEST_S, Room, Wrong, check, check_connected
from tests.logins.clients import browse
from tests.logins.provider import identity_provider
from tests.logins.service import Service, service

ADD = ("claude", "mcp", "add", "--transport", "http", "--scope", "user", SERVER)
REMOVE = ("claude", "mcp", "remove", SERVER, "--scope", "user")
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\]8;[^\x07\x1b]*(?:\x07|\x1b\\))")
"""What makes a text coloured, or a link, in a terminal."""


def claude_token(room: Room) -> str:
    """`mcp add --header` with a token of the tokens file is connected; with any other it is not."""
    file = str(room.folder / "tokens.toml")
    made = room.run("ltx-mcp", "token", "new", "ada", "--add", LTX_MCP_TOKENS_FILE=file)
    token = _find(r"^ltx_\S+$", made)
    with service(room.folder / "with-token", {"LTX_MCP_TOKENS_FILE": file, "LTX_MCP_PROVIDERS": "local"}) as served:
        room.run(*ADD, served.url, "--header", f"Authorization: Bearer {token}")
        check_connected(room.run("claude", "mcp", "list"), f"{SERVER}: ")
        room.run(*REMOVE)
        room.run(*ADD, served.url, "--header", "Authorization: Bearer ltx_another")
        told = room.run("claude", "mcp", "list")
        check(f"{SERVER}: " in told and CONNECTED not in told, f"connected with another: {told}")
        room.run(*REMOVE)
    return "connected with its token, and with no other"


def claude_login(room: Room) -> str:
    """`mcp login` leads a person to the identity provider, and from there to tools."""
    with identity_provider() as provider:
        settings = {"LTX_MCP_OIDC_ISSUER": provider.issuer, "LTX_MCP_PROVIDERS": "local"}
        with service(room.folder / "with-login", settings) as served:
            told = _log_in(room, served)
            check_connected(room.run("claude", "mcp", "list"), f"{SERVER}: ")
            room.run("claude", "mcp", "logout", SERVER)
            room.run(*REMOVE)
        granted = provider.grants()
    check(f'Authenticated with "{SERVER}"' in told, f"it says: {told[-300:]}")
    return f"logged in as {granted[0][1]}, connected"


def _log_in(room: Room, served: Service) -> str:
    """What it says at a terminal while a person follows its link."""
    room.run(*ADD, served.url)
    check("Needs authentication" in room.run("claude", "mcp", "list"), "it does not see that a login is needed")
    ours, theirs = pty.openpty()
    command = [str(room.programs.commands / "claude"), "mcp", "login", SERVER, "--no-browser"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=room.environment, cwd=room.folder / "work"
    )
    os.close(theirs)
    try:
        told = _read_until(ours, "Or paste")
        anyio.run(_agree, _find(r"http://[!-~]+/auth\?[!-~]+", told))
        told += _read_until(ours, "with")
        process.wait(LONGEST_S)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return told


def _find(pattern: str, told: str) -> str:
    found = re.search(pattern, told, re.MULTILINE)
    if found is None:
        raise Wrong(f"nothing like {pattern} in: {told[-300:]}")
    return found[0]


def _read_until(terminal: int, word: str) -> str:
    told, end = "", time.monotonic() + LONGEST_S
    while word not in told:
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            raise Wrong(f"it waits for something else: {told[-300:]}")
        try:
            told = ESCAPES.sub("", told + os.read(terminal, 65_536).decode("utf-8", "replace"))
        except OSError:  # it has ended
            break
    return told


async def _agree(link: str) -> None:
    """As a browser would: to the provider, and from there back to the program that waits on this machine."""
    back = parse_qs(urlsplit(link).query)["redirect_uri"][0]
    async with httpx2.AsyncClient(trust_env=False) as browser:
        await browser.get(await browse(f"{link}&login_hint=ada", back))
