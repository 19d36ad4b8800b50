"""The one who speaks for the user: calls tools of a real server over stdio, and may use nothing but what they answer.

A program in the place of a model. What it thinks, does and is told goes into the transcript, line by line.
"""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from ltx_mcp.domain.job import ACTIVE_STATES
from tests.conversations.reading import Answer, Half, read, text_of
from tests.conversations.stage import MAX_S, ROOT, Providers, environment
from tests.conversations.transcript import Transcript
from tests.patience import HANG_S

NOTING_ITS_NUMBER = ["-c", 'echo $$ > "$0"; exec "$@"']


class Agent:
    """One conversation, with a model that is shown this half of the answers. `providers` and `folder` are not its: they
    are for the conversation's file, to play the world, and to lay files where the server may read them."""

    def __init__(
        self, home: Path, providers: Providers, settings: dict[str, str], transcript: Transcript, half: Half = "both"
    ) -> None:
        self._half = half
        self.providers, self.folder = providers, home.parent
        self._env = environment(home, providers.settings) | settings
        self._number = home.parent / f"{home.name}.pid"
        self._transcript = transcript
        self._connection = AsyncExitStack()
        self._client: Client | None = None
        self._prompts: set[str] = set()

    def hears(self, words: str) -> None:
        """The user says something."""
        self._transcript.add("user", words)

    def calls_take(self, one: int, other: int) -> None:
        """In the transcript, takes `one` and `other` of the set change places."""
        self._transcript.swap_takes(one, other)

    def thinks(self, words: str) -> None:
        """Why the agent does what it does next."""
        self._transcript.add("agent", words)

    def says(self, words: str) -> None:
        """What the user is told."""
        self._transcript.add("says", words)

    async def calls(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool and read the answer. A job that is waited for and still runs, as on a busy machine, is asked
        after again, as it says itself."""
        self._transcript.add("call", self._text(tool, arguments))
        assert self._client is not None
        is_waited_for = tool == "check_job" and "wait_seconds" in arguments
        with anyio.fail_after(HANG_S):
            result = await self._client.call_tool(tool, arguments, read_timeout_seconds=MAX_S)
            while is_waited_for and read(tool, result, self._half).facts.get("state") in ACTIVE_STATES:
                result = await self._client.call_tool(tool, arguments, read_timeout_seconds=MAX_S)
        answer = read(tool, result, self._half)
        self._transcript.add("answer", text_of(result))
        for _ in answer.pictures:
            self._transcript.add("", "[one frame, JPEG]" if "frame_at" in arguments else "[contact sheet, JPEG]")
        return answer

    async def money(self) -> dict[str, float]:
        """Today's budget; for what a conversation asserts, so not in the transcript."""
        assert self._client is not None
        budget: dict[str, float] = read("", await self._client.call_tool("estimate_cost", {}), "structure").facts[
            "budget"
        ]
        return budget

    async def calls_but_is_cut_off(self, tool: str, **arguments: Any) -> None:
        """Call a tool whose answer never comes: the host gives up once the server has shown that it is at work."""
        self._transcript.add("call", self._text(tool, arguments))
        with anyio.fail_after(MAX_S), anyio.CancelScope() as call:

            async def give_up(progress: float, total: float | None, message: str | None) -> None:
                call.cancel()

            assert self._client is not None
            await self._client.call_tool(tool, arguments, progress_callback=give_up)
        assert call.cancelled_caught
        self._transcript.add("host", "The call timed out.")

    async def connects(self) -> None:
        """A new server process on the same home."""
        command = ["sh", *NOTING_ITS_NUMBER, str(self._number), sys.executable, "-m", "ltx_mcp"]
        server = StdioServerParameters(command=command[0], args=command[1:], env=self._env, cwd=ROOT)
        self._client = await self._connection.enter_async_context(Client(server))

    async def loses_its_server(self) -> None:
        """kill -9, in the middle of whatever it does."""
        self.kills_its_server()
        await self.leaves()
        self._transcript.add("host", "The server process is gone (kill -9). A new one is started.")

    async def leaves(self) -> None:
        """The conversation with this server is over."""
        self._client = None
        await self._connection.aclose()

    def kills_its_server(self) -> None:
        """It ends at once, and starts no worker for what it leaves."""
        if self._client is not None:
            with suppress(ProcessLookupError):
                os.kill(int(self._number.read_text(encoding="ascii")), signal.SIGKILL)

    def _text(self, tool: str, arguments: dict[str, Any]) -> str:
        """A call in writing; a prompt that was read before is not shown again."""
        prompt = arguments.get("prompt")
        shown = arguments | ({"prompt": "…"} if prompt in self._prompts else {})
        self._prompts |= {prompt} if prompt else set()
        told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in shown.items())
        return f"{tool}({told})"

    async def person_runs(self, *command: str) -> str:
        """What a person does at a terminal of the same machine; gives what was printed."""
        self._transcript.add("person", f"$ ltx-mcp {' '.join(command)}")
        done = await anyio.run_process([sys.executable, "-m", "ltx_mcp", *command], env=self._env, cwd=ROOT)
        return done.stdout.decode()


@asynccontextmanager
async def talking(
    home: Path, providers: Providers, settings: dict[str, str], to: Transcript, half: Half
) -> AsyncIterator[Agent]:
    """An agent with a server. One that breaks off kills its server, which so leaves no worker behind."""
    providers.begin()
    agent = Agent(home, providers, settings, to, half)
    await agent.connects()
    try:
        yield agent
    except BaseException:
        agent.kills_its_server()
        raise
    finally:
        await agent.leaves()
