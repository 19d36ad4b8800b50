"""What others log of requests: never a signature of a link, never a token that a client put into an address."""

import logging

import pytest

from ltx_mcp.server.auth.unsigned_logs import LOGGERS, leave_out_signatures


@pytest.mark.parametrize("name", LOGGERS)
def test_addresses_in_the_logs_of_others_hold_no_signature_and_no_token(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    leave_out_signatures()
    with caplog.at_level(logging.DEBUG, name):
        logging.getLogger(name).debug(
            "%s and %s", "/videos/a.mp4?exp=1&sig=A-very_secret-signature", "/mcp?access_token=aa.bb~c%2B/d==&x=1"
        )
    assert caplog.messages == ["/videos/a.mp4?exp=1&sig=… and /mcp?access_token=…&x=1"]
