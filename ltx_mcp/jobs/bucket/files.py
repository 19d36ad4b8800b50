"""Films and inputs in a bucket, with a copy on this disk of what was used last.

A film and its pictures lie under a name made of the film's digest, so nothing is ever overwritten by something else;
then `videos/JOB.json` is written, once, and from that moment on it is the film of its job. Whoever takes the job up
after a crash finds either that, and is done, or puts the same bytes under the same name.
"""

import json
import logging
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio.to_thread

from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.media_reference import mime_type
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.bucket.cache import Cache
from ltx_mcp.jobs.bucket.objects import Method, Objects, unavailable
from ltx_mcp.jobs.files import FileStore, describe_video, digest_in, digest_of
from ltx_mcp.jobs.filesystem import check_space, reserve_of

logger = logging.getLogger(__name__)

FRESH = timedelta(hours=12)
"""An input older than this is written again: those that nobody uses are removed after a day at the earliest."""
DIGEST_CHARS, AT_ONCE = 32, 1000
JSON, JPEG, MP4 = "application/json", "image/jpeg", "video/mp4"


def open_files(home: Path, address: str, lookup: Callable[[str], str]) -> FileStore:
    """The folders of a home, or with an `address` those and the bucket there. Raises SetupError."""
    return BucketFiles(home, Objects(address, lookup)) if address else FileStore(home)


class BucketFiles(FileStore):
    """What has its final name is in the bucket. A film of this home from before there was one is found here still."""

    def __init__(self, home: Path, objects: Objects) -> None:
        super().__init__(home)
        self._objects = objects
        self._before = FileStore(home)
        self._cache = Cache(home / "cache")
        self._kept = self._inputs = self._cache.folder
        with self._storage_errors():
            self._cache.prepare()

    def kept_video(self, job: Job) -> Path | None:
        return super().kept_video(job) or self._before.kept_video(job)

    def is_kept(self, job: Job) -> bool:
        return job.state is State.SUCCEEDED

    async def saved(self, job: Job) -> VideoInfo | None:
        found = await self._sidecar(job.id)
        return VideoInfo(**found["film"]) if found else None

    async def place(self, job: Job, method: Method) -> Path | str | None:
        if job.state is not State.SUCCEEDED:
            return None
        if found := await self._sidecar(job.id):
            return await self._objects.sign(method, f"{_folder(job.id)}/{found['object']}.mp4")
        return self._before.kept_video(job)

    async def has(self, path: Path) -> bool:
        if _job_of(path):
            is_there = await self._sidecar(_job_of(path)) is not None
        else:
            is_there = await self._objects.size(f"inputs/{path.name}") is not None
        return is_there or await anyio.to_thread.run_sync(self._older(path).exists)

    async def bring(self, path: Path) -> Path | None:
        job_id = _job_of(path)
        found = await self._sidecar(job_id) if job_id else None
        if job_id and found is None:
            return await self._before.bring(self._older(path))
        if await anyio.to_thread.run_sync(self._cache.use, path):
            return path
        name = f"{_folder(job_id)}/{found['object']}{_ending(path)}" if found else f"inputs/{path.name}"
        return await self._download(name, path) or await self._before.bring(self._older(path))

    async def save_video(self, job: Job, part: Path, video: VideoInfo) -> VideoInfo:
        digest = await anyio.to_thread.run_sync(digest_of, part)
        about = describe_video(job, video) | {"object": digest[:DIGEST_CHARS], "sha256": digest}
        name = f"{_folder(job.id)}/{about['object']}"
        if await self._objects.size(f"{name}.mp4") != video.size_bytes:
            await self._objects.put(f"{name}.mp4", part, MP4)
        for picture in (self.sheet(job.id), self.poster(job.id)):
            if await anyio.to_thread.run_sync(picture.exists):
                await self._objects.put(f"{name}{_ending(picture)}", picture, JPEG)
        there = await self._enter(job, about)
        await anyio.to_thread.run_sync(lambda: self._keep_copy(job, part, is_ours=there["sha256"] == digest))
        return VideoInfo(**there["film"])

    async def _enter(self, job: Job, about: dict[str, Any]) -> dict[str, Any]:
        """Write down which film is the job's; returns what stands there, which is another one if that came first."""
        name, content = f"{_folder(job.id)}.json", (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()
        while not await self._objects.create(name, content, JSON):
            there = await self._sidecar(job.id)
            if there is None:
                continue  # removed meanwhile
            if await self._objects.size(f"{_folder(job.id)}/{there['object']}.mp4") is not None:
                return there
            await anyio.to_thread.run_sync(self._objects.remove, [name])  # somebody has removed its film
        return about

    def _keep_copy(self, job: Job, part: Path, *, is_ours: bool) -> None:
        with self._storage_errors():
            if is_ours:
                self._cache.add(part, self.video(job.id), is_needed=False)
            else:
                logger.warning("%s: another process has kept another film of it", job.id)
                for picture in (self.sheet(job.id), self.poster(job.id)):
                    picture.unlink(missing_ok=True)
        self.drop_parts(job)

    async def save_input(self, given: Input, found: Path) -> None:
        await super().save_input(given, found)
        name, path = f"inputs/{self.input(given).name}", self.input(given)
        await anyio.to_thread.run_sync(self._cache.use, path)
        if await self._objects.size(name, datetime.now(UTC) - FRESH) is None:
            await self._objects.put(name, path, mime_type(given.format))

    def remove_video(self, job_id: str) -> None:
        self._objects.remove([f"{_folder(job_id)}.json"])  # first: from now on it is nobody's film
        self._objects.remove([name for name, _ in self._objects.below(_folder(job_id))])
        self._before.remove_video(job_id)
        super().remove_video(job_id)

    def remove_inputs(self, used: Callable[[Sequence[str]], Container[str]], before: datetime) -> None:
        self._before.remove_inputs(used, before)
        old = (name for name, written_at in self._objects.below("inputs") if written_at < before)
        while names := list(islice(old, AT_ONCE)):
            digests = {name: digest_in(name.rpartition("/")[2]) for name in names}
            kept = used([*digests.values()])
            self._objects.remove([name for name, digest in digests.items() if digest not in kept])

    async def _sidecar(self, job_id: str) -> dict[str, Any] | None:
        content = await self._objects.read(f"{_folder(job_id)}.json")
        if content is None:
            return None
        try:
            found: dict[str, Any] = json.loads(content)
            return {"object": found["object"], "sha256": found["sha256"], "film": asdict(VideoInfo(**found["film"]))}
        except (ValueError, KeyError, TypeError):
            raise unavailable() from None  # something between us and the bucket answers in its place

    async def _download(self, name: str, path: Path) -> Path | None:
        """Bring an object to this path; None where there is none."""
        part = path.with_name(f"{uuid4().hex}.part")
        try:
            if not await self._objects.get(name, part, self._check_size):
                return None
            with self._storage_errors():
                await anyio.to_thread.run_sync(lambda: self._cache.add(part, path, is_needed=True))
        except OSError as error:
            raise self.failed(error) from error
        finally:
            part.unlink(missing_ok=True)
        return path

    def _check_size(self, size_bytes: int) -> None:
        check_space(self._cache.folder, size_bytes + reserve_of(self._cache.folder))

    def _older(self, path: Path) -> Path:
        """Where the same lay before there was a bucket."""
        return self._home / ("videos" if _job_of(path) else "inputs") / path.name


def _folder(job_id: str) -> str:
    return f"videos/{job_id}"


def _job_of(path: Path) -> str:
    """The job whose film or picture has this name; empty for an input, which begins with its digest."""
    name = path.name.partition(".")[0]
    return name if name.startswith("job_") else ""


def _ending(path: Path) -> str:
    return path.name[path.name.index(".") :]
