"""The webhooks file: what it says, and what is refused by its place without a word of a secret or an address."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.job import State
from ltx_mcp.jobs.callers import user_caller, user_of
from ltx_mcp.jobs.webhooks import file as webhooks_file
from ltx_mcp.jobs.webhooks.file import Webhooks, read_webhooks
from tests.webhooks.receiver import OTHER, SECRET, hook_text

URL = "https://shop.example.com/hooks/path-that-is-nobodys?token=a-query-that-is-nobodys"
SET = {"SHOP_HOOK_SECRET": SECRET, "INSIDE_HOOK_SECRET": OTHER, "BROKEN_SECRET": SECRET + "!"}
Read = Callable[[str], Webhooks]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str) -> Webhooks:
        path = tmp_path / "webhooks.toml"
        path.write_text(text, encoding="utf-8")
        return read_webhooks(path, lambda name: SET.get(name, ""))

    return read_text


def test_the_example_of_its_own_page_says_what_the_page_says(read: Read) -> None:
    page = webhooks_file.__doc__ or ""
    found = read("\n".join(line[4:] for line in page.splitlines() if line.startswith("    ")))
    shop, inside = found.outgoing["shop"], found.outgoing["inside"]
    assert found.incoming == ("fal",)
    assert (shop.states, shop.allow_private, shop.host) == ((State.SUCCEEDED,), False, "shop.example.com")
    assert shop.wants("token|shop", "succeeded")
    assert shop.wants(user_caller("token|shop", "a/b"), "succeeded")
    assert not shop.wants("token|shop", "failed")
    assert not shop.wants("token|shopper", "succeeded")
    assert inside.allow_private
    assert all(inside.wants("local", state) for state in ("succeeded", "failed", "cancelled", "unknown"))
    assert shop.keys != inside.keys


@pytest.mark.parametrize(
    ("callers", "wanted"),
    [
        (["token|a"], ["token|a", "token|a/u", "token|a/v"]),
        (["token|a/*"], ["token|a/u", "token|a/v"]),
        (["token|a/u"], ["token|a/u"]),
        (["token|*"], ["token|a", "token|a/u", "token|a/v", "token|ab"]),
        (["local", "https%3a%2f%2fid|sub"], ["local", "https%3A%2F%2Fid|sub"]),
    ],
)
def test_callers_are_named_as_in_the_callers_file(read: Read, callers: list[str], wanted: list[str]) -> None:
    everybody = ["local", "token|a", "token|a/u", "token|a/v", "token|ab", "https%3A%2F%2Fid|sub"]
    hook = read(hook_text("shop", URL, more=f"callers = {json.dumps(callers)}")).outgoing["shop"]
    assert [each for each in everybody if hook.wants(each, "failed")] == wanted


@pytest.mark.parametrize("user", ["4711", "Ünal/7", "a|b", "%2F", ""])
def test_the_user_of_a_caller_is_as_it_was_named(user: str) -> None:
    assert user_of(user_caller("token|shop", user)) == user
    assert user_of("token|shop") == user_of("https%3A%2F%2Fid%2Frealm|sub") == user_of("local") == ""


SHORT = "whsec_" + b64encode(bytes(8)).decode()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[[[", "webhooks.toml"),
        ("webhook = 3", "[webhook] should be a table"),
        ("[webhook.shop]", "[webhook.shop] url should be an address"),
        ("[hook.shop]", "'hook' is none of webhook, incoming"),
        ('[webhook."a b"]', "[webhook.'a b']"),
        (f'[webhook."{SECRET}"]', "[webhook.a name]"),
        (f'[{SECRET}]\na = "b"', "a name is none of"),
        (hook_text("shop", "shop.example.com"), "[webhook.shop] url should be an address"),
        (hook_text("shop", "ftp://shop.example.com"), "[webhook.shop] url should be an address"),
        (hook_text("shop", "https://shop.example.com:0/"), "[webhook.shop] url should be an address"),
        (hook_text("shop", "https://me:pass-of-nobody@shop.example.com"), "without user name or password"),
        (hook_text("shop", "http://shop.example.com", more=""), "http is for allow_private = true"),
        (hook_text("shop", URL, more="allow_private = 1"), "[webhook.shop] allow_private should be true or false"),
        (hook_text("shop", URL, secrets=[]), "[webhook.shop] secrets should be 1 to 5"),
        (hook_text("shop", URL, secrets=[SECRET, SHORT]), "[webhook.shop] secrets, 2 should be whsec_"),
        (hook_text("shop", URL, more='secret_envs = ["A_B"]'), "should have either secrets or secret_envs"),
        (hook_text("shop", URL, more="callers = []"), "[webhook.shop] callers should name at least one"),
        (hook_text("shop", URL, more='callers = ["shop"]'), "[webhook.shop] callers 'shop' is no caller"),
        (hook_text("shop", URL, more="events = []"), "[webhook.shop] events should name some of"),
        (hook_text("shop", URL, more='events = ["job.queued"]'), "'job.queued' is none of job.succeeded"),
        (hook_text("shop", URL, more=f'secret = "{SECRET}"'), "a name is none of url, secrets"),
        (f'[webhook.shop]\nurl = "{URL}"\nsecret_envs = ["{SECRET}"]', "should be the name of a variable"),
        (f'[webhook.shop]\nurl = "{URL}"\nsecret_envs = ["NO_SUCH_SECRET"]', "NO_SUCH_SECRET is not set"),
        (f'[webhook.shop]\nurl = "{URL}"\nsecret_envs = ["BROKEN_SECRET"]', "(BROKEN_SECRET) should be whsec_"),
        (f'[webhook.shop]\nurl = "{URL}"\nsecret_envs = ["LTX_MCP_SECRET"]', "does not begin with LTX_MCP_"),
        ('[incoming]\nproviders = ["ltx"]', "[incoming] providers 'ltx' is none of fal"),
        ("[incoming]\nprovider = []", "[incoming] 'provider' is none of providers"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place_and_without_a_secret(read: Read, text: str, place: str) -> None:
    with pytest.raises(SetupError) as refused:
        read(text)
    said = str(refused.value).replace(":", "")
    assert place.replace(":", "") in said, said
    for secret in (SECRET, SHORT, *(part[8:] for part in (SECRET, OTHER)), "nobodys", "pass-of-nobody"):
        assert secret not in said
    assert "LTX_MCP_WEBHOOKS" in refused.value.hint


def test_a_webhook_that_is_printed_shows_neither_its_secrets_nor_its_address(read: Read) -> None:
    shown = repr(read(hook_text("shop", URL)))
    assert "shop" in shown
    assert "nobodys" not in shown
    assert "keys" not in shown
