"""How a caller reaches the video of a job: by its provider's address, by ours, or by a path on this machine."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ltx_mcp.domain.job import Job
from ltx_mcp.net.address import read_address

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

Sign = Callable[[str, datetime], tuple[str, datetime]]
"""Signs the link to a job's video: its query, and when it expires."""


@dataclass(frozen=True)
class Link:
    """An address of a video; `expires_at` is known of those that we signed."""

    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Links:
    """How a caller reaches videos: with `link_of` over HTTP, else by path on this machine. Only `local_providers` may
    link to this machine; None: any may. `is_kept`: whether there is a video to link to, where not all have paths."""

    path_of: Callable[[Job], Any]
    link_of: Callable[[Job, datetime], Link] | None = None
    local_providers: Collection[str] | None = None
    is_kept: Callable[[Job], bool] | None = None

    def video(self, job: Job, now: datetime) -> Link | None:
        """The provider's address while it lives, then ours."""
        expires = job.result_url_expires_at
        is_local = self.local_providers is None or job.offer.provider in self.local_providers
        theirs = read_address(job.result_url, is_loopback=is_local)
        if theirs and (expires is None or expires > now):
            return Link(theirs)
        if self.link_of and self.is_kept:
            return self.link_of(job, now) if self.is_kept(job) else None
        path = self.path_of(job)
        if path is None:
            return None
        return self.link_of(job, now) if self.link_of else Link(str(path.as_uri()))

    def video_url(self, job: Job, now: datetime) -> str | None:
        """The address alone."""
        link = self.video(job, now)
        return link.url if link else None

    def file(self, job: Job) -> str | None:
        """The path, if the caller shares this machine."""
        path = self.path_of(job)
        return None if path is None or self.link_of else str(path)


def links_of(jobs: "Jobs", base_url: str = "", sign: Sign | None = None) -> Links:
    """How callers reach the videos of these jobs; `base_url` is set where that is over HTTP, `sign` where callers log
    in: a player cannot."""
    base = base_url.rstrip("/")

    def link_of(job: Job, now: datetime) -> Link:
        url = f"{base}/videos/{job.id}.mp4"
        if sign is None:
            return Link(url)
        query, expires_at = sign(job.id, now)
        return Link(f"{url}?{query}", expires_at)

    return Links(jobs.film, link_of if base else None, jobs.loopback_providers, jobs.keeping.is_kept)
