"""`python -m tests.service.parts`: the service of manifests/service/compose on this machine without containers, and
whether it keeps its promises while each of its parts goes away and comes back. Not a test; test_compose_parts.py is.

What is started for each service, and what is not as in a container, is said by tests/service/containers.py.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread
import httpx2

from tests.conversations.stage import Providers, emulated
from tests.jobs.test_processes import wait_for
from tests.kept import kept_films
from tests.patience import HANG_S
from tests.service.containers import Part, Parts, running
from tests.service.journey import Program, Receiver, receiver


@dataclass
class Journey:
    """What is done with a service. `films` are the ids of the jobs that were ordered, by their prompts."""

    parts: Parts
    providers: Providers
    shop: Receiver
    films: dict[str, str] = field(default_factory=dict)

    async def first_film(self) -> None:
        """Nobody gets in without a login; with one a film is ordered, made and saved in the bucket, its link opens
        without a login, but no other that looks like it, and the shop is told of it."""
        await self._is_refused()
        self.providers.finish()
        program = Program(self.parts.machine)
        await self._order(program, "a kite")
        link = await self._is_whole(program, "a kite")
        forged = httpx2.URL(link).copy_set_param("sig", "A" * 43)
        assert (await program.browse(str(forged))).status_code in (401, 403, 404)

    async def restart(self, name: str) -> None:
        """A part is ended and started again. A film is ordered before it, one while it is away; both are done by the
        provider meanwhile, and come out as if nothing had been. Whoever asks afterwards has logged in anew."""
        part, program = self.parts.by_name[name], Program(self.parts.machine)
        before, during = (f"a kite {when} {name} was away" for when in ("before", "while"))
        self.providers.take_their_time()
        await self._order(program, before)
        await anyio.to_thread.run_sync(part.stop)
        async with anyio.create_task_group() as group:
            tries = program.tries
            group.start_soon(self._order, program, during)
            await self._until(lambda: program.tries > tries)
            self.providers.finish()
            await self._come_back(part)
        afterwards = Program(self.parts.machine)
        for prompt in (before, during):
            await self._is_whole(afterwards, prompt)

    async def judge(self) -> None:
        """Nothing was ordered twice, and nothing that was ordered is missing."""
        ordered = Counter(order["fields"]["prompt"] for order in self.providers.orders())
        assert ordered == Counter(list(self.films)), ordered
        listed = await Program(self.parts.machine).call("list_jobs", limit=50)
        states = {job["job_id"]: job["state"] for job in listed["jobs"]}
        assert states == dict.fromkeys(self.films.values(), "succeeded"), states

    async def _is_refused(self) -> None:
        machine = self.parts.machine
        async with httpx2.AsyncClient(verify=machine.trust, trust_env=False) as stranger:
            answer = await stranger.post(f"{machine.url}/mcp", json={}, timeout=HANG_S)
        assert answer.status_code == 401
        assert f"{machine.url}/.well-known/oauth-protected-resource" in answer.headers["www-authenticate"]

    async def _order(self, program: Program, prompt: str) -> None:
        self.films[prompt] = await program.order(prompt)

    async def _come_back(self, part: Part) -> None:
        await anyio.to_thread.run_sync(part.start)
        await self._until(part.is_healthy)

    async def _is_whole(self, program: Program, prompt: str) -> str:
        job_id = self.films[prompt]
        view = await program.follow(job_id)
        assert view["state"] == "succeeded", view
        link: str = view["video_url"]
        film = await program.browse(link)
        assert film.status_code == 200, film.text
        assert str(film.url).startswith(f"{self.parts.machine.url}/films/ltx/videos/{job_id}/"), film.url.path
        assert len(film.content) == view["size_bytes"]
        await self._until(lambda: self.shop.heard_of.get(job_id))
        assert self.shop.heard_of[job_id] == {"job.succeeded"}
        return link

    async def _until(self, condition: Callable[[], object]) -> None:
        await anyio.to_thread.run_sync(wait_for, condition, HANG_S)


async def travel(journey: Journey, told: Callable[[str], object]) -> None:
    """The whole journey, told as it goes."""
    began = time.monotonic()
    await journey.first_film()
    told("a login, a film, its link and its webhook")
    for part in journey.parts.lasting:
        await journey.restart(part.name)
        told(f"{part.name} away and back")
    await journey.judge()
    told(f"{len(journey.films)} films, each ordered once, none lost, in {time.monotonic() - began:.0f} s")


@contextmanager
def prepared() -> Iterator[Journey]:
    """All parts, an emulator, and a shop that listens."""
    with (
        emulated(kept_films() / "emulated") as providers,
        receiver() as shop,
        running(providers.settings, shop.secret, shop.url) as parts,
    ):
        yield Journey(parts, providers, shop)


def main() -> None:
    """Start all, travel, and end all."""
    with prepared() as journey:
        anyio.run(travel, journey, partial(print, flush=True))


if __name__ == "__main__":
    main()
