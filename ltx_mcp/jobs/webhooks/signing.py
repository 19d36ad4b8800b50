"""Standard Webhooks, symmetric signatures (v1): https://www.standardwebhooks.com, read 2026-11-29."""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9+/]+={{0,2}}")


def read_secret(text: str) -> bytes | None:
    """The key that a secret stands for; None where it is no secret of Standard Webhooks."""
    if not _SECRET.fullmatch(text):
        return None
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        return None
    return key if MIN_BYTES <= len(key) <= MAX_BYTES else None


def make_headers(message_id: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> Mapping[str, str]:
    """The three headers of a message that is sent `at` this time: a signature by each key, the first key first."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    made = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    signatures = " ".join(f"v1,{b64encode(each).decode()}" for each in made)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
