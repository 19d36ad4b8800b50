"""Signatures: somebody else's library verifies them, also while a receiver changes its secret."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ltx_mcp.jobs.webhooks.signing import make_headers, read_secret

OLD, NEW, STRANGE = ("whsec_" + b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
BODY = '{"type":"job.succeeded","data":{"user":"Ünal"}}'.encode()


def signed(*secrets: str) -> dict[str, str]:
    keys = [key for secret in secrets if (key := read_secret(secret))]
    assert len(keys) == len(secrets)
    return dict(make_headers("msg_1_succeeded", datetime.now(UTC), BODY, keys))


@pytest.mark.parametrize("receivers", [OLD, NEW])
def test_while_a_secret_is_changed_receivers_of_both_verify_each_message(receivers: str) -> None:
    assert Webhook(receivers).verify(BODY, signed(NEW, OLD))["type"] == "job.succeeded"
    assert signed(NEW, OLD)["webhook-signature"].split()[0] == signed(NEW)["webhook-signature"]


def test_another_secret_another_body_and_another_id_are_refused() -> None:
    headers = signed(NEW, OLD)
    for secret, body, given in (
        (STRANGE, BODY, headers),
        (NEW, BODY + b" ", headers),
        (NEW, BODY, headers | {"webhook-id": "msg_2_succeeded"}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, given)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        OLD.removeprefix("whsec_"),
        "whsec_" + b64encode(bytes(23)).decode(),
        "whsec_" + b64encode(bytes(65)).decode(),
        OLD + " ",
        OLD[:-3] + "!!=",
        OLD + "\n",
    ],
)
def test_what_is_no_secret_of_24_to_64_bytes_is_none(text: str) -> None:
    assert read_secret(text) is None
