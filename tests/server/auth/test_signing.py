"""Keys are derived as RFC 5869 says, and a key of one purpose opens no other."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ltx_mcp.server.auth.signing import LINKS, REQUEST_STATE, SALT, derive_keys

SECRETS = ("the first of two signing keys, long enough", "ein zweiter Schlüssel, der lang genug ist")


def test_keys_are_those_of_hkdf_in_the_order_of_the_signing_keys() -> None:
    for purpose in (LINKS, REQUEST_STATE):
        witness = [
            HKDF(algorithm=SHA256(), length=32, salt=SALT, info=purpose.encode()).derive(secret.encode())
            for secret in SECRETS
        ]
        assert derive_keys(SECRETS, purpose) == witness


def test_each_purpose_and_each_signing_key_has_a_key_of_its_own() -> None:
    keys = [key for purpose in (LINKS, REQUEST_STATE) for key in derive_keys(SECRETS, purpose)]
    assert len(set(keys)) == 4
    assert derive_keys((), LINKS) == []
