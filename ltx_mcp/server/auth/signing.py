"""Keys derived from LTX_MCP_SIGNING_KEY: each purpose has its own, so that what is signed for one opens no other."""

import hmac
from collections.abc import Sequence

LINKS, REQUEST_STATE = "links", "request-state"
SALT = b"ltx-mcp signing key"


def derive_keys(signing_keys: Sequence[str], purpose: str) -> list[bytes]:
    """One key of 32 bytes for each signing key, in their order: HKDF-SHA256 of RFC 5869, whose first block is all that
    is needed."""
    secrets = [hmac.digest(SALT, key.encode(), "sha256") for key in signing_keys]
    return [hmac.digest(secret, purpose.encode() + b"\x01", "sha256") for secret in secrets]
