"""Which addresses are public, and what redaction strikes out."""

import logging
import time
from ipaddress import ip_address

import pytest

from ltx_mcp.net.address import is_public
from ltx_mcp.net.redact import redact

SPECIAL = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 172.16.0.1 172.31.9.9
    192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.1 198.51.100.1 203.0.113.9 224.0.0.1
    239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1
    64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2001:db8::1
    2002:7f00:1::1 2002:c0a8:101::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 fec0::1 ff02::1
"""
OPEN = """
    1.1.1.1 8.8.8.8 93.184.216.34 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.169.0.1 223.255.255.1
    2606:4700::1111 2a00:1450::1 2001:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("address", SPECIAL.split())
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OPEN.split())
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("see https://a.example/b.mp4 now", "see https://a.example/b.mp4 now"),
        ("see https://a.example/b.mp4?sig=1&x=2 now", "see https://a.example/b.mp4?*** now"),
        ('{"u":"https://a.example/b?k=it\'s,(1)","n":1}', '{"u":"https://a.example/b?***","n":1}'),
        ('{"u":"https:\\/\\/a.example\\/b?k=1"}', '{"u":"https:\\/\\/a.example\\/b?***"}'),
        ("postgresql://me:pa@ss@db/ltx", "postgresql://***@db/ltx"),
        ("https://a.example/#access_token=1", "https://a.example/?***"),
        ("https://a/?1 https://u@b/c?2", "https://a/?*** https://***@b/c?***"),
        ("mail me@a.example, really?yes", "mail me@a.example, really?yes"),
    ],
)
def test_redaction_strikes_queries_and_passwords_of_urls(text: str, kept: str) -> None:
    assert redact(text) == kept
    assert redact(kept) == kept


def test_redaction_strikes_known_keys_also_percent_encoded_and_the_longest_first() -> None:
    keys = ["key", "key:secret/1", ""]
    assert redact("a key:secret/1 b key%3Asecret%2F1 c key d", keys) == "a *** b *** c *** d"


def test_redaction_of_a_long_line_is_quick() -> None:
    text = "://" * 100_000 + "a+" * 100_000 + "@" * 100_000
    started_at = time.perf_counter()
    redact(text)
    assert time.perf_counter() - started_at < 20


def test_a_client_logs_urls_without_their_queries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").info('HTTP Request: %s %s "%s"', "GET", "https://a.example/b?sig=SIGNED", "HTTP/1.1 200")
    assert 'GET https://a.example/b?*** "HTTP/1.1 200"' in caplog.text
