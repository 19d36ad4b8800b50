"""Signed links: a video is for whoever has its link, and for its caller; for everyone else it has never been."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from ltx_mcp.server.auth.links import LIFE, MAX_LIFE, STEP, LinkSigner, Proof
from ltx_mcp.server.auth.signing import REQUEST_STATE, derive_keys
from ltx_mcp.server.video_route import EXPIRED
from tests.server.auth.people import ANN, BACKEND, BASE_URL, BOB, served

pytestmark = pytest.mark.anyio

JOB, OTHER_JOB = "job_" + "a" * 20, "job_" + "b" * 20
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def new_key() -> str:
    return secrets.token_urlsafe(32)


def test_all_answers_of_an_hour_have_the_same_link_and_it_lives_a_day() -> None:
    signer = LinkSigner([new_key()])
    query, expires_at = signer.sign(JOB, NOON)
    assert signer.sign(JOB, NOON + STEP - timedelta(seconds=1)) == (query, expires_at)
    assert signer.sign(JOB, NOON + STEP) != (query, expires_at)
    assert expires_at == NOON + STEP + LIFE
    assert signer.check(JOB, query, expires_at - timedelta(seconds=1)) is Proof.VALID
    assert signer.check(JOB, query, expires_at) is Proof.EXPIRED


def test_the_newest_key_signs_and_all_keys_open() -> None:
    old, new = new_key(), new_key()
    query, _ = LinkSigner([old]).sign(JOB, NOON)
    rotated = LinkSigner([new, old])
    assert rotated.check(JOB, query, NOON) is Proof.VALID
    assert rotated.sign(JOB, NOON) == LinkSigner([new]).sign(JOB, NOON)
    assert LinkSigner([new]).check(JOB, query, NOON) is Proof.NONE


def test_a_link_is_as_it_was_signed_or_nothing() -> None:
    key = new_key()
    signer = LinkSigner([key])
    query, expires_at = signer.sign(JOB, NOON)
    exp, _, sig = query.removeprefix("exp=").partition("&sig=")
    foreign = LinkSigner([key])
    foreign._keys = derive_keys([key], REQUEST_STATE)
    too_long, _ = signer.sign(JOB, NOON + MAX_LIFE)
    wrong = [
        *("", "exp=", f"sig={sig}", f"exp={exp}", f"sig={sig}&exp={exp}", f"exp={exp}&sig=", f"exp=0{exp}&sig={sig}"),
        *(
            f"exp={int(exp) + 1}&sig={sig}",
            f"exp={exp}&sig={sig[:-1]}",
            f"exp={exp}&sig={sig}=",
            f"exp={exp}&sig={sig}A",
        ),
        *(f"{query}&exp={exp}", f"{query}&a=b", f"?{query}", query.swapcase(), f"exp={exp}&sig={'é' * 43}"),
        *(foreign.sign(JOB, NOON)[0], signer.sign(OTHER_JOB, NOON)[0], LinkSigner([new_key()]).sign(JOB, NOON)[0]),
        too_long,
    ]
    assert [each for each in wrong if signer.check(JOB, each, NOON) is not Proof.NONE] == []
    assert signer.check(JOB, too_long, expires_at) is Proof.VALID


async def test_a_video_is_for_its_link_and_its_caller_and_has_never_been_for_everyone_else(home: Path) -> None:
    async with served(home, new_key()) as service:
        ann, bob = service.person(ANN), service.person(BOB)
        film = await ann.film()
        path, link = f"/videos/{film['job_id']}.mp4", httpx.URL(film["video_url"])
        assert film["video_url"].startswith(f"{BASE_URL}{path}?exp=")
        _, expires_at = service.signer.sign(film["job_id"], datetime.now(UTC))
        assert film["video_url_expires_at"] == f"{expires_at:%Y-%m-%dT%H:%M:%S.000Z}"
        assert await ann.call("check_job", job_id=film["job_id"]) == film

        nobody = service.web
        data = (await nobody.get(link)).content
        assert len(data) == film["size_bytes"]
        head, part = await nobody.head(link), await nobody.get(link, headers={"Range": "bytes=10-19"})
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(data)))
        assert (part.status_code, part.content) == (206, data[10:20])
        assert (await ann.get(path)).content == (await bob.get(str(link))).content == data
        assert head.headers["cache-control"] == "private"

        never = "/videos/" + "job_" + "z" * 20 + ".mp4"
        forged = link.copy_set_param("exp", "1999999999").raw_path.decode()
        for method in ("GET", "HEAD"):
            for asked, unknown in ((path, never), (f"{path}?{link.query.decode()}x", never), (forged, never)):
                for headers in ({}, bob.who, {"Range": "bytes=0-1"}, service.person(BACKEND, "local").who):
                    seen = await nobody.request(method, asked, headers=headers)
                    as_unknown = await nobody.request(method, unknown, headers=headers)
                    assert (seen.status_code, seen.content, seen.headers) == (404, *_seen(as_unknown))
        before, _ = service.signer.sign(film["job_id"], datetime.now(UTC) - LIFE - STEP)
        late = await nobody.get(f"{path}?{before}")
        assert (late.status_code, late.text) == (404, EXPIRED)

        (home / "videos" / f"{film['job_id']}.mp4").unlink()
        assert {(await nobody.get(link)).status_code, (await ann.get(path)).status_code} == {404}


def _seen(answer: httpx.Response) -> tuple[bytes, httpx.Headers]:
    return answer.content, answer.headers
