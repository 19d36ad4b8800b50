"""Signed links to videos: a `<video>` and a person who clicks cannot log in, so the link itself says that it may.

A link is good for one job's video until `exp`, for whoever has it. Nothing else is in it: no caller, no token.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from ltx_mcp.server.auth.signing import LINKS, derive_keys

STEP = timedelta(hours=1)
"""Links end at a full hour, so that all answers of an hour have the same one, and a browser keeps what it loaded."""
LIFE = timedelta(hours=24)
"""How long a link is good at least: a person finds it in a chat of yesterday. After that check_job gives a new one."""
SKEW = timedelta(minutes=5)
"""How far the clocks of two servers may differ."""
MAX_LIFE = LIFE + STEP + SKEW
"""Nothing that we sign is good for longer, so a link that says so is refused."""
_QUERY = re.compile(r"exp=([1-9][0-9]{0,11})&sig=([A-Za-z0-9_-]{43})")


class Proof(Enum):
    """What a link shows."""

    NONE = auto()
    EXPIRED = auto()
    VALID = auto()


class LinkSigner:
    """Signs with the newest key and knows the links of all of them."""

    def __init__(self, signing_keys: Sequence[str]) -> None:
        self._keys = derive_keys(signing_keys, LINKS)

    def sign(self, job_id: str, now: datetime) -> tuple[str, datetime]:
        """The query of the link to a job's video, and when it expires."""
        step_s = round(STEP.total_seconds())
        expires_s = (int(now.timestamp()) // step_s + 1) * step_s + round(LIFE.total_seconds())
        query = f"exp={expires_s}&sig={_signature(self._keys[0], job_id, expires_s)}"
        return query, datetime.fromtimestamp(expires_s, UTC)

    def check(self, job_id: str, query: str, now: datetime) -> Proof:
        """What the query of a link to a job's video shows. It is exactly as we wrote it, or nothing."""
        found = _QUERY.fullmatch(query)
        if found is None:
            return Proof.NONE
        expires_s, given = int(found[1]), found[2]
        # every key is tried, and each in the same time
        known = [hmac.compare_digest(_signature(key, job_id, expires_s), given) for key in self._keys]
        left_s = expires_s - now.timestamp()
        if not any(known) or left_s > MAX_LIFE.total_seconds():
            return Proof.NONE
        return Proof.VALID if left_s > 0 else Proof.EXPIRED


def _signature(key: bytes, job_id: str, expires_s: int) -> str:
    digest = hmac.digest(key, f"/videos/{job_id}.mp4?exp={expires_s}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
