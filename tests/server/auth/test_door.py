"""The door: who is let in, what a refused client is told, and for whom a backend acts."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.server.auth.door import METADATA, Door
from ltx_mcp.server.auth.logins import Logins
from ltx_mcp.server.auth.principal import ACT, ORDER, READ, SCOPE_KEY, STRANGER, Principal
from ltx_mcp.server.auth.tokens_file import TokensFile, new_token, to_row_text
from tests.server.auth.service import PUBLIC_URL, bearer, call, send, serving

pytestmark = pytest.mark.anyio

CHALLENGE = 'Bearer scope="ltx:read ltx:order"'
BACKEND, ANN, LOOKER, NOTHING, OLD = (new_token() for _ in range(5))
NOON = 1_800_000_000.0


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    """Somebody who acts for others, one who orders, one who looks, one who may only act, and one who came too late."""
    rows = [
        to_row_text(BACKEND, "backend", (READ, ORDER), may_act=True, expires=None),
        to_row_text(ANN, "ann", (READ, ORDER), may_act=False, expires=None),
        to_row_text(LOOKER, "looker", (READ,), may_act=False, expires=None),
        to_row_text(NOTHING, "nothing", (ACT,), may_act=False, expires=None),
        to_row_text(OLD, "old", (READ, ORDER), may_act=False, expires=None) + "expires = 2027-01-15T08:00:00Z",
    ]
    path = tmp_path / "tokens.toml"
    path.write_text("\n".join(rows), encoding="utf-8")
    path.chmod(0o600)
    return Logins(TokensFile(path), now=lambda: NOON)


class Inside:
    """What stands behind the door: it notes who came in."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    @property
    def principals(self) -> list[Principal]:
        return [scope[SCOPE_KEY] for scope in self.seen]


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
async def web(logins: Logins, inside: Inside) -> AsyncIterator[httpx.AsyncClient]:
    door = Door(inside, logins=logins, public_url=PUBLIC_URL)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=PUBLIC_URL) as client:
        yield client


async def test_a_token_of_the_file_is_let_in_as_its_caller(web: httpx.AsyncClient, inside: Inside) -> None:
    for form in (f"Bearer {ANN}", f"bearer  {ANN} "):
        assert (await web.post("/mcp", headers={"Authorization": form})).status_code == 200
    assert inside.principals == [Principal("token|ann", frozenset({READ, ORDER}))] * 2
    told = inside.seen[0]["user"].access_token
    assert (told.client_id, told.subject) == ("token|ann", "token|ann")
    assert ANN not in repr(inside.seen) + told.token


@pytest.mark.parametrize("path", ["/mcp", "/", "/mcp/", "/metrics", "/videosx", "/healthz/x"])
@pytest.mark.parametrize("header", ["", "Basic YTpi", f"DPoP {ANN}"], ids=["none", "basic", "dpop"])
async def test_who_shows_no_token_is_told_where_to_get_one(
    web: httpx.AsyncClient, inside: Inside, path: str, header: str
) -> None:
    """RFC 6750, 3.1: without an error code where nothing was shown."""
    refused = await web.post(f"{path}?access_token={ANN}", headers={"Authorization": header} if header else {})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, CHALLENGE)
    assert "error" not in refused.json()
    assert not inside.seen


@pytest.mark.parametrize(
    "token",
    [new_token(), ANN[:-1], ANN.lower(), f"{ANN} {ANN}", f"{ANN}, Bearer {ANN}", "", "a" * 60_000, OLD, "ü"],
    ids=["unknown", "shorter", "lower", "twice", "two", "empty", "60 kB", "expired", "no ASCII"],
)
async def test_a_token_that_does_not_count_is_invalid(web: httpx.AsyncClient, inside: Inside, token: str) -> None:
    refused = await web.post("/mcp", headers={b"Authorization": f"Bearer {token}".encode()})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')
    assert refused.headers["www-authenticate"].endswith(', scope="ltx:read ltx:order"')
    assert refused.json()["error"] == "invalid_token"
    assert not inside.seen


async def test_a_token_counts_until_it_expires(logins: Logins, web: httpx.AsyncClient) -> None:
    assert (await web.post("/mcp", headers=bearer(OLD))).json()["error_description"] == "The token has expired."
    logins._now = lambda: NOON - 1
    assert (await web.post("/mcp", headers=bearer(OLD))).status_code == 200


async def test_a_token_without_a_scope_for_anything_is_told_all_it_needs(web: httpx.AsyncClient) -> None:
    refused = await web.post("/mcp", headers=bearer(NOTHING))
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert 'scope="ltx:read ltx:order"' in refused.headers["www-authenticate"]


async def test_two_tokens_are_refused(web: httpx.AsyncClient, inside: Inside) -> None:
    both = [("Authorization", f"Bearer {ANN}"), ("Authorization", f"Bearer {BACKEND}")]
    assert (await web.post("/mcp", headers=both)).status_code == 400
    assert not inside.seen


# -- paths that are open ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/videos/job_a.mp4", "/healthz", "/readyz", "/.well-known/openid-configuration"])
async def test_open_paths_are_reached_by_a_stranger_who_owns_nothing(
    web: httpx.AsyncClient, inside: Inside, path: str
) -> None:
    assert (await web.get(path)).status_code == 200
    assert inside.principals == [STRANGER]
    assert (STRANGER.caller, STRANGER.may_read, STRANGER.may_order) == ("", False, False)
    assert "user" not in inside.seen[0]


async def test_a_video_is_fetched_as_the_caller_of_a_token(web: httpx.AsyncClient, inside: Inside) -> None:
    assert (await web.get("/videos/job_a.mp4", headers=bearer(LOOKER))).status_code == 200
    assert inside.principals[0].caller == "token|looker"
    assert (await web.get("/videos/job_a.mp4", headers=bearer(new_token()))).status_code == 401


async def test_without_an_identity_provider_there_is_no_metadata(web: httpx.AsyncClient, inside: Inside) -> None:
    """A client that found some would try to log in, and tell of that instead of the token it lacks."""
    await web.get(METADATA)
    assert inside.principals == [STRANGER]


# -- for whom -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "caller"),
    [
        ("u1", "token|backend/u1"),
        ("a/b", "token|backend/a%2Fb"),
        ("a%2Fb", "token|backend/a%252Fb"),
        ("|", "token|backend/%7C"),
        ("jürgen@example.com", "token|backend/j%C3%BCrgen%40example.com"),
        ("人" * 128, f"token|backend/{'%E4%BA%BA' * 128}"),
    ],
)
async def test_a_backend_acts_for_the_user_it_names(
    web: httpx.AsyncClient, inside: Inside, user: str, caller: str
) -> None:
    headers = {b"Authorization": f"Bearer {BACKEND}".encode(), b"X-LTX-User": user.encode()}
    assert (await web.post("/mcp", headers=headers)).status_code == 200
    assert inside.principals[0].caller == caller
    assert inside.seen[0]["user"].access_token.client_id == caller


@pytest.mark.parametrize(
    "user",
    [b"", b"a" * 129, b"a b", b"a\tb", b"a\x7fb", "a\u200bb".encode(), "a\u202eb".encode(), b"\xff", b"\xc2\x85"],
)
async def test_a_user_that_cannot_be_told_apart_by_sight_is_refused(
    web: httpx.AsyncClient, inside: Inside, user: bytes
) -> None:
    refused = await web.post("/mcp", headers={b"Authorization": f"Bearer {BACKEND}".encode(), b"X-LTX-User": user})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert not inside.seen


async def test_two_users_are_refused(web: httpx.AsyncClient, inside: Inside) -> None:
    both = [("Authorization", f"Bearer {BACKEND}"), ("X-LTX-User", "u1"), ("X-LTX-User", "u1")]
    assert (await web.post("/mcp", headers=both)).status_code == 400
    assert not inside.seen


@pytest.mark.parametrize("user", ["u1", "", "ann"])
async def test_who_may_not_act_for_others_cannot_name_one(web: httpx.AsyncClient, inside: Inside, user: str) -> None:
    refused = await web.post("/mcp", headers=bearer(ANN) | {"X-LTX-User": user})
    assert refused.status_code == 403
    assert 'scope="ltx:read ltx:order ltx:act"' in refused.headers["www-authenticate"]
    assert not inside.seen


# -- the whole app ------------------------------------------------------------------------------------------------


async def test_the_tools_answer_only_who_has_logged_in(home: Path, catalog: Catalog, logins: Logins) -> None:
    async with serving(home, catalog, logins) as web:
        assert (await send(web, new_token(), "tools/call", call("list_jobs"))).status_code == 401
        listed = await send(web, ANN, "tools/call", call("list_jobs"))
        assert (listed.status_code, listed.json()["result"]["structuredContent"]) == (200, {"jobs": []})
