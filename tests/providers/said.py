"""What a provider may say: its documented replies, the same a little off, other JSON, other bytes. Not a test."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.providers.raw import answer

KEY = "sk-very-secret-key-0123456789"
SURE_NO = frozenset({*range(300, 309), 400, 401, 402, 403, 404, 405, 407, 413, 415, 422, 425, 429, 511})
FILM_URL = "https://films.example.com/film.mp4"

ORDERED: dict[str, Any] = {
    "fal": {
        "status": "IN_QUEUE",
        "request_id": "764cabcf-b745-4b3e-ae38-1200304cf45b",
        "response_url": "{url}/fal-ai/ltx-2.3/requests/764cabcf",
        "status_url": "{url}/fal-ai/ltx-2.3/requests/764cabcf/status",
        "cancel_url": "{url}/fal-ai/ltx-2.3/requests/764cabcf/cancel",
        "queue_position": 0,
    },
    "ltx": {"id": "job_123", "status": "pending", "created_at": "2026-11-21T12:00:00Z"},
    "netwrck": {"job_id": "j_1", "status": "in_queue", "cost_usd": 0.24, "credits_charged": 24},
    "bytecompute": {
        "job": {"id": "b_1", "status": "queued"},
        "adjustments": [{"field": "fps", "requested": 25, "applied": 24}],
    },
}
LOOKS: dict[str, list[Any]] = {
    "fal": [
        {"status": "IN_QUEUE", "queue_position": 3},
        {"status": "IN_PROGRESS", "logs": [{"message": "step 3 of 20", "level": "INFO"}]},
        {"status": "COMPLETED", "metrics": {"inference_time": 12.5}},
        {"status": "COMPLETED", "error": "no", "error_type": "client_cancelled"},
    ],
    "ltx": [
        {"id": "job_123", "status": "pending"},
        {"id": "job_123", "status": "completed", "result": {"video_url": FILM_URL}},
        {"id": "job_123", "status": "failed", "error": {"type": "content_filtered_error", "message": "no"}},
    ],
    "netwrck": [
        {"status": "in_progress"},
        {"status": "completed", "result": {"video": {"url": FILM_URL}}, "cost_usd": 0.24, "credits_charged": 24},
        {"status": "failed", "error": "no", "credits_charged": 0},
    ],
    "bytecompute": [
        {"status": "processing"},
        {"status": "completed", "adjustments": {"fps": {"requested": 25, "applied": 24}, "prompt": "cut"}},
        {"status": "failed", "error": {"message": "no"}},
    ],
}
RESULTS: list[Any] = [
    {"video": {"url": FILM_URL, "content_type": "video/mp4"}},
    {"detail": [{"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}]},
    {"detail": "gone", "error_type": "request_timeout"},
]
SLOTS: dict[str, Any] = {
    "fal": {"upload_url": "{url}/put", "file_url": "https://v3.fal.media/files/a/b.png"},
    "ltx": {"upload_url": "{url}/put", "storage_uri": "ltx://a/b", "required_headers": {"x-goog-meta": "1"}},
}
ODD_PLACES = [
    *("http://127.0.0.1:1/", "http://127.0.0.1:99999/", "https://[::1", "http://127.0.0.1:0/x", "http://a\0b/"),
    *("https://\ud800/", "https:///", "//x", "http://user:pw@127.0.0.1/", "https://xn--\u202e/", "http://127.0.0.1:٣/"),
]
CANCELLED = [{"status": "OK"}, {"status": "CANCELLATION_REQUESTED"}, {"success": True}]

# -- what can be said -------------------------------------------------------------------------------------------

ODD_TEXTS = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfff",
    "1e999999999",
    "-0",
    "sNaN",
    "∞",
    "٣",
    "\u202e\u2028🎬",
    KEY,
    "/" * 900,
]


def nest(depth: int) -> str:
    """An order with a status, an error and adjustments as deep as that."""
    deep = "[" * depth + "]" * depth
    return f'{{"id": "i", "status": {deep}, "error": {deep}, "adjustments": {deep}}}'


texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([10**400, -1, 101, 2**31, 2**63])
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
nests = st.integers(20, 1100).map(nest)


def complaint(words: Any) -> list[Any]:
    """These words, at every place where somebody puts the reason of a refusal."""
    return [
        *({"error": words}, {"detail": words}, {"message": words}, {"status": words}),
        {"error": {"type": words, "message": words}},
        *({"detail": [{"loc": place, "msg": words, "type": words}]} for place in (words, [words, 1])),
        {"status": "failed", "error": {"message": words}},
        {"status": "IN_PROGRESS", "logs": [{"message": words}]},
        {"id": words, "job_id": words, "request_id": words},
        {"id": "i", "adjustments": [{"field": words, "requested": words, "applied": words}]},
    ]


complaints = (texts | texts | values).flatmap(lambda words: st.sampled_from(complaint(words)))


@st.composite
def changed(draw: st.DrawFn, real: Any) -> Any:
    """The documented reply with one value replaced, however deep, or one field left out."""
    if isinstance(real, dict) and real and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(real)))
        rest = {each: value for each, value in real.items() if each != name}
        return rest if not draw(st.integers(0, 4)) else rest | {name: draw(changed(real[name]))}
    if isinstance(real, list) and real and draw(st.booleans()):
        return [draw(changed(real[0])), *real[1:]]
    return draw(values)


def written(said: Any) -> st.SearchStrategy[bytes]:
    """JSON as it may come: by another encoding, with a mark before it, cut, doubled, or with signs after it."""
    plain = json.dumps(said)
    known = plain[:-1] + ', "status": "completed", "id": {}}' if plain.endswith("}") and len(plain) > 2 else plain
    forms = [
        plain.encode(),
        json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        plain.encode("utf-16"),
        plain.encode("utf-8-sig"),
        plain[: len(plain) // 2].encode(),
        known.encode(),
        plain.encode() + b"\0",
    ]
    return st.sampled_from([forms[0], forms[0], *forms])


def bodies(*real: Any) -> st.SearchStrategy[bytes]:
    """Mostly what is documented, a little off; else anything."""
    if not real:
        return st.binary(max_size=60)
    near = st.sampled_from(real).flatmap(lambda each: st.just(each) | changed(each)).flatmap(written)
    return (
        near
        | near
        | complaints.flatmap(written)
        | values.flatmap(written)
        | st.binary(max_size=60)
        | nests.map(str.encode)
    )


odd_heads = st.binary(max_size=20).map(
    lambda value: bytes(sign for sign in value if sign not in b"\r\n").decode("latin-1")
)
heads = st.lists(
    st.sampled_from(
        [
            "Content-Type: application/json",
            "Content-Type: text/event-stream; charset=undefined",
            "Content-Type: application/json; charset=hex",
            "Content-Type: video/mp4",
            "Content-Encoding: gzip",
            "Content-Encoding: br, deflate",
            "Retry-After: " + "9" * 400,
            "Retry-After: Mon, 01 Jan 2024 00:00:00 +99999999999999",
            "Retry-After: Mon, 01 Jan 0001 00:00:00 +2359",
            f"X-Request-Id: {KEY}",
            "x-fal-billable-units: 1e999999999",
            "x-fal-billable-units: NaN",
            "x-fal-billable-units: 6",
            "Location: http://127.0.0.1:1/",
        ]
    )
    | st.tuples(
        st.sampled_from(["Retry-After", "X-Request-Id", "x-fal-billable-units", "Content-Type"]), odd_heads
    ).map(": ".join),
    max_size=3,
    unique_by=lambda head: head.split(":")[0],
)
any_status = st.integers(100, 999)
statuses = st.sampled_from([200, 200, 201, 202]) | st.sampled_from([*sorted(SURE_NO), 409, 500, 503, 529]) | any_status


@dataclass(frozen=True)
class Said:
    """One reply; `length` is what it announces, and `raw` goes out as it is."""

    status: int = 200
    body: bytes = b""
    heads: tuple[str, ...] = ()
    length: int | None = None
    raw: bytes | None = None

    def at(self, url: str) -> bytes:
        """What goes out, from a server at this address."""
        if self.raw is not None:
            return self.raw
        return answer(self.status, self.body.replace(b"{url}", url.encode()), *self.heads, length=self.length)

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def replies(*real: Any) -> st.SearchStrategy[Said]:
    """A whole answer, one of a wrong length, or bytes that are no HTTP at all."""
    whole = st.builds(Said, statuses, bodies(*real), heads.map(tuple))
    wrong = st.builds(lambda body, length: Said(200, body, (), length), bodies(*real), st.integers(0, 5000))
    return whole | whole | whole | wrong | st.builds(Said, raw=st.binary(max_size=80))


def streams(*real: Any) -> st.SearchStrategy[Said]:
    """An event stream of such replies."""
    event = bodies(*real).map(lambda body: b"data: " + body.replace(b"\n", b"") + b"\n\n")
    parts = st.lists(event | event | st.binary(max_size=30), max_size=4).map(b"".join)
    return st.builds(Said, st.just(200), parts, heads.map(tuple)) | replies(*real)
