"""Videos and inputs in folders of HOME: what is complete has its final name, everything else is a `.part` of one
claim.

What is asynchronous here is all that is different where they lie in a bucket: see `bucket/files.py`.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio.to_thread
from filelock import FileLock, Timeout

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import to_wire
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.filesystem import check_space, reserve_of
from ltx_mcp.jobs.store.errors import storage_failed
from ltx_mcp.media.client import MediaClient
from ltx_mcp.private import FILE, create_private, make_folder, open_private

if TYPE_CHECKING:
    from ltx_mcp.jobs.bucket.objects import Method

CONVERTED = "-2-as"
"""What follows the digest in the name of a converted input; its number grows when conversions change."""


class FileStore:
    """The folders `videos` and `inputs` of one home. Every failure is a SetupError(storage_failed)."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._videos = home / "videos"
        self._kept = self._videos
        self._inputs = home / "inputs"
        self._incoming = home / "incoming"
        self._in_use: dict[str, FileLock] = {}

    def video(self, job_id: str) -> Path:
        """Where a finished job's video is."""
        return self._kept / f"{job_id}.mp4"

    def kept_video(self, job: Job) -> Path | None:
        """The video of a job that succeeded, while it is on this machine."""
        path = self.video(job.id)
        return path if job.state is State.SUCCEEDED and path.exists() else None

    def sheet(self, job_id: str) -> Path:
        """Where its contact sheet is."""
        return self._kept / f"{job_id}.jpg"

    def poster(self, job_id: str) -> Path:
        """Where the picture is that stands for a film that was joined."""
        return self._kept / f"{job_id}.poster.jpg"

    def is_kept(self, job: Job) -> bool:
        """Whether a job that succeeded has a video as far as can be told without asking another machine."""
        return self.kept_video(job) is not None

    async def place(self, job: Job, method: "Method") -> Path | str | None:
        """Where whoever may have the video gets it: a file of this machine, or an address for this method."""
        return self.kept_video(job)

    async def has(self, path: Path) -> bool:
        """Whether what belongs at this path, of those that this store gives, is kept."""
        return await anyio.to_thread.run_sync(path.exists)

    async def bring(self, path: Path) -> Path | None:
        """Where it can be read on this machine, which may take a while; None where it is not kept."""
        return path if await anyio.to_thread.run_sync(path.exists) else None

    async def saved(self, job: Job) -> VideoInfo | None:
        """The video that an earlier lease owner has kept, if that can be told."""
        return None

    async def save_video(self, job: Job, part: Path, video: VideoInfo) -> VideoInfo:
        """Keep the complete video with its pictures; returns the figures of the one that is kept."""
        await anyio.to_thread.run_sync(self.keep_video, job, part, video)
        return video

    async def save_input(self, given: Input, found: Path) -> None:
        """Keep the bytes of an input."""
        await anyio.to_thread.run_sync(self.keep_input, given, found)

    def part(self, job: Job) -> Path:
        """Where the owner of this fencing token, and nobody else, writes the video."""
        with self._storage_errors():
            make_folder(self._videos)
        return self._videos / f"{job.id}.{job.fencing_token}.part"

    def check_room(self, offer: Offer, takes: int = 1) -> None:
        """Raises SetupError(storage_failed) when the disk has no room for so many videos of this offer."""
        check_space(self._videos, offer.expected_bytes * takes + reserve_of(self._videos))

    def adopt_part(self, job: Job) -> None:
        """Take over the complete video that an earlier lease owner wrote. Raises SetupError when there is none."""
        others = [path for path in self._videos.glob(f"{job.id}.*.part") if path != self.part(job)]
        if not others:
            message = "The film had come, but its file is gone from this disk."
            raise SetupError(ErrorCode.STORAGE_FAILED, message, f"Look for {job.id}.*.part in {self._videos}.")
        with self._storage_errors():
            os.replace(max(others, key=lambda path: path.stat().st_mtime), self.part(job))

    def drop_parts(self, job: Job) -> None:
        """Remove what unfinished attempts left, except those of a later lease owner, who may be at work."""
        for path in self._videos.glob(f"{job.id}.*part*"):
            token = path.name.removeprefix(f"{job.id}.").partition(".")[0]
            if not token.isdecimal() or int(token) <= job.fencing_token:
                path.unlink(missing_ok=True)

    def remove_video(self, job_id: str) -> None:
        """Remove a video with everything that belongs to it."""
        with self._storage_errors():
            sidecar = self._kept / f"{job_id}.json"
            for path in (self.video(job_id), self.sheet(job_id), self.poster(job_id), sidecar):
                path.unlink(missing_ok=True)
            for path in self._videos.glob(f"{job_id}.*part*"):
                path.unlink(missing_ok=True)

    def remove_inputs(self, used: Callable[[Sequence[str]], Container[str]], before: datetime) -> None:
        """Remove inputs older than this time; `used` says which of their digests jobs still use."""
        old = [path for path in self._inputs.glob("*") if self._is_old_input(path, before)]
        kept = used([digest_in(path.name) for path in old])
        for path in old:
            if digest_in(path.name) not in kept:
                with self._storage_errors():
                    path.unlink(missing_ok=True)

    def _is_old_input(self, path: Path, before: datetime) -> bool:
        with suppress(FileNotFoundError), self._storage_errors():
            return _is_older(path, before)
        return False

    def keep_video(self, job: Job, part: Path, video: VideoInfo) -> None:
        """Give the video its final name, with a sidecar that describes it to other programs."""
        with self._storage_errors():
            sidecar = self._videos / f"{job.id}.json"
            temporary = part.with_suffix(".json.part")
            about = json.dumps(describe_video(job, video), indent=1, ensure_ascii=False) + "\n"
            with open_private(temporary, "wb") as file:
                file.write(about.encode())
            os.replace(temporary, sidecar)
            with open_private(part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, self.video(job.id))
        self.drop_parts(job)

    def input(self, given: Input) -> Path:
        """Where the bytes of an input are."""
        return self._inputs / f"{given.sha256}.{given.format}"

    def keep_input(self, given: Input, found: Path) -> None:
        """Keep the bytes of an input under the name of their content; once is enough."""
        kept = self.input(given)
        with self._storage_errors():
            make_folder(self._inputs)
            if not kept.exists():
                temporary = self._inputs / f"{uuid4().hex}.part"
                try:
                    create_private(temporary)
                    shutil.copyfile(found, temporary)
                    os.replace(temporary, kept)
                finally:
                    temporary.unlink(missing_ok=True)

    def staging_dir(self) -> Path:
        """A folder for what is being made, on the same file system as the result."""
        with self._storage_errors():
            make_folder(self._inputs)
        return self._inputs

    def make_media(self) -> MediaClient:
        """The media processes; they see the folders of videos and inputs, not the database beside them."""
        films = dict.fromkeys((self._videos, self._kept, self._incoming))
        return MediaClient(inputs_in=(self._incoming,), films_in=tuple(films))

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A folder for the files of a call, which is removed afterwards."""
        folder = await anyio.to_thread.run_sync(self.new_folder)
        try:
            yield Path(folder)
        finally:
            self.remove_folder(folder)

    def new_folder(self) -> str:
        """A folder for the files of a call, until `remove_folder`. A lock file beside it, which the OS releases when
        this process dies, shows other processes that it is in use; a suspended process keeps it."""
        with self._storage_errors():
            make_folder(self._incoming)
            while True:
                folder = self._incoming / f"in_{uuid4().hex}"
                # may be released in another thread
                lock = FileLock(_lock_of(folder), timeout=0, mode=FILE, thread_local=False)
                try:
                    lock.acquire()
                except Timeout:
                    continue
                # a sweep may have removed the file after we made it and before we locked it
                if _lock_of(folder).exists():
                    break
                lock.release()
            self._in_use[str(folder)] = lock
            folder.mkdir(mode=0o700)
            return str(folder)

    def remove_folder(self, folder: str) -> None:
        """Remove the folder of a call."""
        shutil.rmtree(folder, ignore_errors=True)
        if (lock := self._in_use.pop(folder, None)) is not None:
            _unlock(lock)

    def sweep(self, before: datetime) -> None:
        """Remove the folders of dead processes; those of older versions, which took no locks, if older than this."""
        with suppress(OSError):
            for path in [*self._incoming.glob("in_*.lock")]:
                lock = FileLock(path, timeout=0, mode=FILE, thread_local=False)
                with suppress(OSError, Timeout):
                    lock.acquire()
                    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                    _unlock(lock)
            for folder in [*self._incoming.glob("*")]:
                with suppress(OSError):
                    if folder.is_dir() and not _lock_of(folder).exists() and _is_older(folder, before):
                        shutil.rmtree(folder)

    def failed(self, reason: Exception) -> SetupError:
        """The error for something that could not be written here."""
        return storage_failed(self._home, reason)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_failed(self._home, error) from error


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _unlock(lock: FileLock) -> None:
    """Remove the file and release it; Windows removes no file that is open."""
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release(force=True)
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)


def digest_in(name: str) -> str:
    """The digest of an input, which the name of its file begins with."""
    return re.split("[-.]", name)[0]


def _is_older(path: Path, moment: datetime) -> bool:
    return path.stat().st_mtime < moment.timestamp()


def describe_video(job: Job, video: VideoInfo) -> dict[str, object]:
    """What other programs are told about a video."""
    offer = job.offer
    return {
        "job_id": job.id,
        "operation": job.operation,
        "prompt": job.prompt,
        "provider": offer.provider,
        "model": offer.model,
        "cost_usd": to_wire(job.cost_usd),
        "created_at": job.created_at.isoformat(),
        "sources": list(job.sources),
        "film": asdict(video),
    }


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
