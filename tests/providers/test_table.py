"""The settings the facts name: which addresses a key may go to, and what is said of one that cannot be used."""

import pytest

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.providers.catalog_loader import can_serve, make_catalog, read_addresses, read_options, read_providers

FACTS = {facts.name: facts for facts in read_providers()}


def catalog(**environment: str) -> Catalog:
    return make_catalog(tuple(FACTS.values()), (), lambda name: environment.get(name, ""))


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "api.example.com",
        "https://",
        "https://api.example.com?key=1",
        "https://api.example.com/#x",
        "http://localhost:0",
        "https://[::1",
    ],
)
def test_a_key_goes_to_no_address_that_is_not_https_or_this_machines_own(address: str) -> None:
    with pytest.raises(SetupError) as caught:
        catalog(LTX_API_KEY="k", LTX_MCP_LTX_URL=address)
    assert f"LTX_MCP_LTX_URL={address!r} cannot be used" in str(caught.value)
    assert "plain http only for this machine" in str(caught.value)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(SetupError) as caught:
        catalog(LTX_MCP_LTX_URL="https://me:hunter2@api.example.com")
    assert "LTX_MCP_LTX_URL cannot be used" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.ltx.io", "https://api.ltx.io"),
        ("https://api.ltx.io/", "https://api.ltx.io"),
        ("https://api.ltx.io/v2/", "https://api.ltx.io"),
        ("https://api.ltx.io/v1", "https://api.ltx.io"),
        ("http://127.0.0.1:8100", "http://127.0.0.1:8100"),
        ("http://localhost:8100", "http://localhost:8100"),
        ("http://[::1]:8100", "http://[::1]:8100"),
        ("https://gate.example.com/ltx", "https://gate.example.com/ltx"),
        ("", "https://api.ltx.io"),
    ],
)
def test_an_address_is_the_base_before_the_documented_path(given: str, used: str) -> None:
    assert read_addresses(FACTS["ltx"], lambda name: given if name == "LTX_MCP_LTX_URL" else "") == {"api": used}


def test_a_provider_without_a_known_address_says_what_it_needs() -> None:
    standing = catalog(BYTECOMPUTE_API_KEY="k").availability["bytecompute"]
    assert (standing.usable, standing.unavailable_reason) == (False, "bytecompute needs LTX_MCP_BYTECOMPUTE_URL.")
    assert not can_serve(FACTS["bytecompute"], lambda name: "k" if name == "BYTECOMPUTE_API_KEY" else "")


def test_an_option_has_a_default_and_a_list_of_values() -> None:
    assert read_options(FACTS["ltx"], lambda name: "") == {"api": "v2"}
    assert read_options(FACTS["ltx"], lambda name: "v1") == {"api": "v1"}
    with pytest.raises(SetupError, match="LTX_MCP_LTX_API='v3' cannot be used; give one of v2, v1"):
        catalog(LTX_MCP_LTX_API="v3")


def test_either_name_of_a_key_will_do() -> None:
    for name in ("LTX_API_KEY", "LTXV_API_KEY"):
        assert catalog(**{name: "k"}).availability["ltx"].usable


def test_orders_at_a_provider_that_auto_must_not_choose_are_still_followed() -> None:
    found = make_catalog(tuple(FACTS.values()), ("ltx",), lambda name: "k" if name == "FAL_KEY" else "")
    assert not found.availability["fal"].usable
    assert can_serve(FACTS["fal"], lambda name: "k" if name == "FAL_KEY" else "")
