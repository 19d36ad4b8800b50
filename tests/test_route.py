"""Which way a request goes: what proxies may be named, what is reached straight, whose certificates count."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from ltx_mcp.net import route as route_module
from ltx_mcp.net.route import Proxy, Route, UnusableError
from ltx_mcp.net.ssrf import trusted

HOST = "queue.fal.run"


def way(**given: str) -> Route:
    return Route(lambda name: given.get(name, ""))


@pytest.mark.parametrize(
    ("value", "url", "login"),
    [
        ("proxy.example:3128", "http://proxy.example:3128", None),
        ("http://proxy.example", "http://proxy.example", None),
        ("HTTPS://10.0.0.1:443/", "https://10.0.0.1:443", None),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
        ("http://me:s%40cret%2F@proxy.example:1", "http://proxy.example:1", ("me", "s@cret/")),
        ("me:s@cret@proxy.example:1", "http://proxy.example:1", ("me", "s@cret")),
        ("socks5h://proxy.example:1080", "socks5h://proxy.example:1080", None),
    ],
)
def test_a_proxy_is_read_in_every_form_it_has(value: str, url: str, login: tuple[str, str] | None) -> None:
    assert way(HTTPS_PROXY=value).proxy(HOST, 443) == Proxy("HTTPS_PROXY", url, login)


@pytest.mark.parametrize(
    "value",
    [
        *("socks://h:1", "socks4://h:1", "ftp://h", "://h", "http://", "http://h:99999", "http://h:0", "http://h:x"),
        *("http://::1:3128", "http://[::1:3128", "http://hidden:12#34@h:1", "http://me:hid/den@h:1", "a b", "h:1\x00"),
    ],
)
def test_one_that_cannot_be_used_is_refused_by_its_name_and_not_shown(value: str) -> None:
    with pytest.raises(UnusableError, match=r"^ALL_PROXY cannot be used: ") as caught:
        way(ALL_PROXY=value).proxy(HOST, 443)
    assert "hid" not in f"{caught.value} {caught.value.fix}"
    assert "ALL_PROXY" in f"{caught.value} {caught.value.fix}"


def test_socks_without_its_library_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_module, "find_spec", lambda name: None)
    with pytest.raises(UnusableError, match="needs the package socksio") as caught:
        way(ALL_PROXY="socks5://h:1").proxy(HOST, 443)
    assert "pip install socksio" in caught.value.fix


def test_the_first_variable_that_is_set_counts_and_small_letters_before_large() -> None:
    def named(**given: str) -> str:
        proxy = way(**given).proxy(HOST, 443)
        return proxy.variable if proxy else ""

    assert named(https_proxy="a:1", HTTPS_PROXY="b:1", ALL_PROXY="socks://c") == "https_proxy"
    assert named(HTTPS_PROXY="b:1", all_proxy="socks://c") == "HTTPS_PROXY"
    assert named(all_proxy="c:1", ALL_PROXY="socks://d") == "all_proxy"
    assert way(HTTP_PROXY="socks://nobody").proxy(HOST, 443) is None, "plain http goes to this machine alone"
    assert way(HTTPS_PROXY="a:1").proxy("127.0.0.1", 443) is None
    assert way(HTTPS_PROXY="a:1").proxy("localhost", 443) is None


STRAIGHT = [
    ("*", HOST),
    ("a.example, *", HOST),
    ("fal.run", HOST),
    (".fal.run", HOST),
    ("*.fal.run", HOST),
    ("FAL.RUN.", HOST),
    ("queue.fal.run:443", HOST),
    ("https://queue.fal.run", HOST),
    ("localhost fal.run", HOST),
    ("[2001:db8::1]", "2001:db8::1"),
    ("[2001:db8::1]:443", "2001:db8::1"),
    ("2001:db8::/32", "2001:db8::1"),
    ("[2001:db8::]/32", "2001:db8::1"),
    ("203.0.113.0/24", "203.0.113.9"),
]
PROXIED = [
    ("", HOST),
    ("al.run", HOST),
    ("queue.fal.run:8443", HOST),
    ("x.queue.fal.run", HOST),
    ("localhost,[::1],fe80::/10", HOST),
    ("203.0.113.0/25", "203.0.113.200"),
    ("%%,:::,/,[,[::,300.1.1.1/99,\x00", HOST),
]


@pytest.mark.parametrize(("value", "host"), STRAIGHT)
def test_what_no_proxy_lists_is_reached_straight(value: str, host: str) -> None:
    assert way(ALL_PROXY="p:1", NO_PROXY=value).proxy(host, 443) is None
    assert way(ALL_PROXY="socks://unusable", NO_PROXY=value).proxy(host, 443) is None


@pytest.mark.parametrize(("value", "host"), PROXIED)
def test_what_it_does_not_list_is_not(value: str, host: str) -> None:
    assert way(ALL_PROXY="p:1", NO_PROXY=value).proxy(host, 443) is not None


def _nothing(path: Path) -> None:
    """Not there."""


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "there is no such file": _nothing,
    "it is a folder": Path.mkdir,
    "holds no certificate": lambda path: path.write_bytes(b"garbage"),
    "holds no certificate in PEM form": lambda path: path.touch(),
}


@pytest.mark.parametrize("why", BAD_FILES)
def test_a_file_without_certificates_is_refused_by_its_variable(tmp_path: Path, why: str) -> None:
    path = tmp_path / "ca.pem"
    BAD_FILES[why](path)
    with pytest.raises(UnusableError, match=rf"^SSL_CERT_FILE cannot be used: .*{why}"):
        trusted(*way(SSL_CERT_FILE=str(path)).certificates)


@pytest.mark.parametrize("names", [[], ["ca.pem"], ["0a1b2c3d.x"]])
def test_a_folder_without_certificates_is_too(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    for folder in (str(tmp_path), str(tmp_path / "nowhere")):
        with pytest.raises(UnusableError, match=r"^SSL_CERT_DIR cannot be used: "):
            trusted(*way(SSL_CERT_DIR=folder).certificates)


def test_certificates_that_are_there_count(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(tmp_path / "0a1b2c3d.0")
    assert trusted(*way(SSL_CERT_FILE=str(tmp_path / "ca.pem")).certificates).cert_store_stats()["x509"] == 1
    assert trusted(*way(SSL_CERT_DIR=str(tmp_path)).certificates)
    both = way(SSL_CERT_FILE=str(tmp_path / "ca.pem"), SSL_CERT_DIR="/nowhere")
    assert both.certificates == (str(tmp_path / "ca.pem"), "")
