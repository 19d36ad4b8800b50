"""Where keys of an identity provider are fetched: where the operator and the issuer say, and nowhere else."""

from collections.abc import Iterator

import pytest

from ltx_mcp.net.fetch_json import MAX_BYTES, FetchError, fetch_json
from tests.server.auth.issuer import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as opened:
        yield opened


async def test_json_is_fetched_from_this_machine_where_the_operator_named_it(issuer: Issuer) -> None:
    assert await fetch_json(f"{issuer.name}/jwks", named_by=issuer.name) == {"keys": []}


async def test_an_issuer_elsewhere_cannot_lead_to_plain_http_here(issuer: Issuer) -> None:
    with pytest.raises(FetchError, match="is not, or does not stay, an https URL"):
        await fetch_json(f"{issuer.name}/jwks", named_by="https://login.example.com")
    assert not issuer.asked


async def test_plain_http_never_leaves_this_machine(issuer: Issuer) -> None:
    with pytest.raises(FetchError, match="is not, or does not stay, an https URL"):
        await fetch_json("http://192.0.2.1/jwks", named_by=issuer.name)


async def test_a_redirect_is_not_followed(issuer: Issuer) -> None:
    issuer.redirects["/keys"] = f"{issuer.name}/jwks"
    with pytest.raises(FetchError):
        await fetch_json(f"{issuer.name}/keys", named_by=issuer.name)
    assert issuer.asked == ["/keys"]


async def test_an_answer_that_is_too_large_or_no_json_is_not_taken(issuer: Issuer) -> None:
    issuer.keys = ["x" * MAX_BYTES]
    with pytest.raises(FetchError, match="too large"):
        await fetch_json(f"{issuer.name}/jwks", named_by=issuer.name)
    with pytest.raises(FetchError, match="HTTP status 404"):
        await fetch_json(f"{issuer.name}/nothing", named_by=issuer.name)
