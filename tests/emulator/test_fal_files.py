"""Pictures at the emulated fal.ai: every way to hand one over, what is refused, and the price list."""

from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.conftest import Emulated
from tests.emulator.fal_orders import ELSEWHERE, FAST, IMAGE, PRO, PROMPT, Submit, data_uri, fal, picture, state, submit

__all__ = ["fal", "state", "submit"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_a_picture_in_the_body_is_known_by_its_bytes(submit: Submit, kind: str) -> None:
    uri = data_uri(picture(kind), f"image/{kind.lower()}")
    submit(IMAGE, image_url=uri, end_image_url=uri)


@pytest.mark.parametrize("field", ["image_url", "end_image_url"])
@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        (data_uri(picture("GIF")), "unsupported_image_format"),
        (data_uri(b"not a picture"), "unsupported_image_format"),
        ("data:image/png;base64,%%%", "image_load_error"),
        ("http://pictures.example.com/pond.png", "file_download_error"),
        ("https://10.0.0.1/pond.png", "file_download_error"),
        ("pond.png", "file_download_error"),
        ("HERE/files/b/0f000009/pond.png", "file_download_error"),
    ],
)
def test_a_picture_that_cannot_be_one_is_422(
    emulator: Emulated, fal: httpx.Client, state: EmulatorState, field: str, uri: str, kind: str
) -> None:
    fields = {"image_url": ELSEWHERE, field: uri.replace("HERE", emulator[0])}
    answer = fal.post(IMAGE, json=PROMPT | fields)
    [detail] = answer.json()["detail"]
    assert (answer.status_code, detail["type"], detail["loc"]) == (422, kind, ["body", field])
    assert state.orders == []


def test_a_picture_at_a_public_address_is_taken_unseen(submit: Submit) -> None:
    submit(IMAGE, image_url=ELSEWHERE, end_image_url=None)


def initiated(fal: httpx.Client, storage: str = "fal-cdn-v3", name: str = "a pond.png") -> dict[str, Any]:
    asked = {"content_type": "image/png", "file_name": name}
    answer = fal.post("/storage/upload/initiate", params={"storage_type": storage}, json=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_file_is_put_at_the_address_that_was_asked_for_and_can_be_ordered_with(
    emulator: Emulated, fal: httpx.Client, submit: Submit
) -> None:
    told = initiated(fal)
    assert told["file_url"].startswith(emulator[0])
    assert httpx.get(told["file_url"]).status_code == 404
    assert fal.post(IMAGE, json=PROMPT | {"image_url": told["file_url"]}).status_code == 422
    put = httpx.put(told["upload_url"], content=picture(), headers={"Content-Type": "image/png"})
    assert put.status_code == 200
    got = httpx.get(told["file_url"])
    assert (got.content, got.headers["content-type"]) == (picture(), "image/png")
    submit(IMAGE, image_url=told["file_url"])


def test_an_uploaded_file_that_is_no_picture_is_refused_when_ordered_with(fal: httpx.Client) -> None:
    told = initiated(fal)
    httpx.put(told["upload_url"], content=b"words", headers={"Content-Type": "image/png"})
    answer = fal.post(IMAGE, json=PROMPT | {"image_url": told["file_url"]})
    assert answer.json()["detail"][0]["type"] == "unsupported_image_format"


def test_an_upload_that_is_not_as_it_was_signed_is_refused(fal: httpx.Client) -> None:
    told = initiated(fal)
    url, kind = told["upload_url"], {"Content-Type": "image/png"}
    assert fal.put(url, content=picture(), headers=kind).status_code == 400
    assert httpx.put(url, content=picture(), headers={"Content-Type": "image/jpeg"}).status_code == 403
    assert httpx.put(url[:-1], content=picture(), headers=kind).status_code == 403
    assert httpx.put(url.replace("0f", "1f"), content=picture(), headers=kind).status_code == 404
    assert httpx.get(told["file_url"]).status_code == 404


def test_an_upload_is_initiated_with_a_type_a_name_and_a_storage_that_exists(fal: httpx.Client) -> None:
    asked = {"content_type": "image/png", "file_name": "pond.png"}
    assert fal.post("/storage/upload/initiate", json={"file_name": "pond.png"}).status_code == 422
    assert fal.post("/storage/upload/initiate?storage_type=tape", json=asked).status_code == 400


def test_a_token_lets_a_file_in_at_the_cdn_until_it_ends(
    emulator: Emulated, fal: httpx.Client, state: EmulatorState
) -> None:
    told = fal.post("/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    assert told["base_url"] == emulator[0]
    headers = {"Authorization": f"{told['token_type']} {told['token']}", "Content-Type": "image/png"}
    posted = httpx.post(
        told["base_url"] + "/files/upload", content=picture(), headers=headers | {"X-Fal-File-Name": "pond.png"}
    )
    assert httpx.get(posted.json()["access_url"]).content == picture()
    state.advance(3601)
    assert httpx.post(told["base_url"] + "/files/upload", content=b"x", headers=headers).status_code == 401


def test_prices_are_told_for_each_model_that_is_asked_about(fal: httpx.Client) -> None:
    told = fal.get("/v1/models/pricing", params={"endpoint_id": f"{FAST[1:]},{PRO[1:]}"}).json()
    price = {"endpoint_id": FAST[1:], "unit_price": 0.04, "unit": "second", "currency": "USD"}
    assert told == {
        "prices": [price, price | {"endpoint_id": PRO[1:], "unit_price": 0.08}],
        "next_cursor": None,
        "has_more": False,
    }
    unknown = fal.get("/v1/models/pricing", params={"endpoint_id": "fal-ai/other"})
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found")
    assert fal.get("/v1/models/pricing").status_code == 400
