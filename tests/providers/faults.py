"""What can go wrong at each provider and step, and what becomes of the job and its money then: one table.

Data only: tests/providers/test_faults.py makes each of these happen at the emulator, and the docs show them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import ChargeState, State

V1 = "ltx v1"
"""LTX with LTX_MCP_LTX_API=v1, which answers the order with the film itself."""
REMOTE = ("fal", "ltx", "netwrck", "bytecompute")
OFTEN = 99


@dataclass(frozen=True)
class End:
    """How a job ends. `orders` is how many the provider has taken."""

    state: State
    code: ErrorCode | None
    bill: ChargeState
    orders: int


@dataclass(frozen=True)
class Row:
    """What goes wrong, `times` times, at one step; several `statuses` come one after the other. `deadline`: the job
    ends only when it is given up. `operation`: empty is from text, or from a picture where that is on its way."""

    provider: str
    step: str
    kind: str
    end: End
    reader: str
    times: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    statuses: tuple[int, ...] = ()
    deadline: bool = False
    operation: str = ""

    @property
    def name(self) -> str:
        """What the row is called in a list."""
        extra = [f"{key}={str(value)[:24].strip() or 'nothing'}" for key, value in self.options.items()]
        often = f" x{self.times}" if self.times > 1 else ""
        words = [self.provider, self.operation, self.step, self.kind, *map(str, self.statuses), *extra]
        return " ".join(filter(None, words)) + often


FILM = End(State.SUCCEEDED, None, ChargeState.BOOKED, 1)
UNSURE = End(State.UNKNOWN, ErrorCode.OUTCOME_UNKNOWN, ChargeState.HELD, 1)
UNSEEN = End(State.UNKNOWN, ErrorCode.OUTCOME_UNKNOWN, ChargeState.HELD, 0)
"""Not taken, as the emulator knows; we do not."""


def refused(code: ErrorCode) -> End:
    """A sure no: nothing was taken and nothing is charged."""
    return End(State.FAILED, code, ChargeState.RELEASED, 0)


def paid(code: ErrorCode) -> End:
    """Taken, and ended without a film, at a provider that may charge it."""
    return End(State.FAILED, code, ChargeState.BOOKED, 1)


def free(code: ErrorCode) -> End:
    """Taken, and ended without a film, where that is free."""
    return End(State.FAILED, code, ChargeState.RELEASED, 1)


Fault = tuple[str, tuple[int, ...], dict[str, Any]]


def status(*codes: int, **options: Any) -> Fault:
    """These statuses, one after the other, in the provider's own words."""
    return "status", codes, options


def plain(kind: str, **options: Any) -> Fault:
    """Any other fault."""
    return kind, (), options


def body(text: str, **options: Any) -> Fault:
    """This text instead of the answer."""
    return "body", (), {"body": text, **options}


def _rows(
    providers: Sequence[str], step: str, table: Sequence[tuple[Fault, End, str]], times: int = 1, deadline: bool = False
) -> Iterator[Row]:
    for provider in providers:
        for (kind, statuses, options), end, reader in table:
            yield Row(provider, step, kind, end, reader, times, options, statuses, deadline)


NOT_SENT_AGAIN = "It may have been taken, so it is never sent again; look at the provider's dashboard."
OTHER_OFFER = "Surely not taken: another provider is tried where one fits, else the job fails and costs nothing."
UNASKED = "Packed although nobody asked for it: read as what it is."
SUBMIT = (
    (status(400), refused(ErrorCode.REJECTED), "The order is malformed for this provider: change the request."),
    (status(401), refused(ErrorCode.KEY_REJECTED), OTHER_OFFER),
    (plain("locked"), refused(ErrorCode.OUT_OF_CREDIT), OTHER_OFFER),
    (status(403), refused(ErrorCode.KEY_REJECTED), OTHER_OFFER),
    (status(404), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
    (status(405), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
    (status(407), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
    (status(408), UNSEEN, NOT_SENT_AGAIN),
    (status(409), UNSEEN, NOT_SENT_AGAIN),
    (status(413), refused(ErrorCode.REJECTED), "The picture is too large for this provider: give a smaller one."),
    (status(415), refused(ErrorCode.REJECTED), "The order is malformed for this provider: change the request."),
    (plain("refuse"), refused(ErrorCode.REJECTED), "The provider names the value it does not allow: change it."),
    (plain("content"), refused(ErrorCode.CONTENT_REFUSED), "A filter: change the prompt or the picture."),
    *((status(code), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER) for code in (301, 302, 307, 308, 425, 511)),
    (plain("html", status=511), refused(ErrorCode.UNAVAILABLE), "A network that wants to be signed in to answered."),
    (status(429), FILM, "Too many at once: the same order is tried again by itself."),
    (status(429, retry_after=7), FILM, "Tried again after the time the provider asks for."),
    (status(500), UNSEEN, NOT_SENT_AGAIN),
    (status(502), UNSEEN, NOT_SENT_AGAIN),
    (status(504), UNSEEN, NOT_SENT_AGAIN),
    (plain("html"), UNSEEN, NOT_SENT_AGAIN),
    (plain("html", status=503), UNSEEN, NOT_SENT_AGAIN),
    (plain("wrong_type"), UNSEEN, NOT_SENT_AGAIN),
    (plain("drop_before"), UNSEEN, NOT_SENT_AGAIN),
    (plain("drop_after"), UNSURE, NOT_SENT_AGAIN),
    (plain("delay", seconds=0.1), FILM, "A slow answer is waited for."),
    (plain("packed"), FILM, UNASKED),
)
HALF_ANSWERS = (
    (plain("html_after"), UNSURE, NOT_SENT_AGAIN),
    (plain("truncated"), UNSURE, NOT_SENT_AGAIN),
    (plain("cut"), UNSURE, NOT_SENT_AGAIN),
    (body('{"accepted": true}'), UNSURE, "An answer without an id: it may have been taken, and cannot be followed."),
    (body(""), UNSURE, "An answer without an id: it may have been taken, and cannot be followed."),
)
TURNED_AWAY = (
    (status(503), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
    (status(529), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
)
"""LTX says in words of its own that it has not taken the order; nobody else does."""
BUSY = ((status(503), UNSEEN, NOT_SENT_AGAIN), (status(529), UNSEEN, NOT_SENT_AGAIN))

AGAIN = "Nothing is ordered yet: the picture is sent again."
UPLOAD_REFUSED = (
    (status(401), refused(ErrorCode.KEY_REJECTED), OTHER_OFFER),
    (plain("locked"), refused(ErrorCode.OUT_OF_CREDIT), OTHER_OFFER),
    (status(403), refused(ErrorCode.KEY_REJECTED), OTHER_OFFER),
    (status(503), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
    (plain("drop_before"), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
)
UPLOAD = (
    (status(404), FILM, AGAIN),
    (status(429, retry_after=7), FILM, AGAIN),
    (status(500, 503), FILM, AGAIN),
    (plain("html_after"), FILM, AGAIN),
    (plain("truncated"), FILM, AGAIN),
    (plain("drop_before"), FILM, AGAIN),
    (plain("drop_after"), FILM, AGAIN),
    (body("{}"), FILM, AGAIN),
)
NEW_PLACE = "A new place is asked for, and the picture is sent there."
PUT = (
    (status(403, 412), FILM, NEW_PLACE),
    (status(500, 503), FILM, NEW_PLACE),
    (plain("drop_before"), FILM, NEW_PLACE),
    (plain("drop_after"), FILM, NEW_PLACE),
    (plain("html"), FILM, NEW_PLACE),
)

LOOK = "A failed look is not a failed job: it is asked again."
POLL = (
    (status(400, 401, 402, 403, 409, 422, 429), FILM, LOOK),
    (status(404), FILM, "An order this young may only not be known everywhere yet: it is asked again."),
    (status(429, retry_after=30), FILM, "Asked again, but not before the time the provider asks for."),
    (status(500, 502, 503, 504, 529), FILM, LOOK),
    (plain("wrong_type"), FILM, LOOK),
    (plain("truncated"), FILM, LOOK),
    (plain("cut"), FILM, LOOK),
    (plain("drop_before"), FILM, LOOK),
    (plain("packed"), FILM, UNASKED),
    (body('{"status": "hibernating"}'), FILM, "A state nobody documented is not an end: it is asked again."),
    (body("[" * 100_000), FILM, "An answer made to break its reader is only a failed look."),
)
FAL_POLL = (
    (body('{"status": "IN_QUEUE", "queue_position": 99999999999999999999}'), FILM, "A figure no queue can have."),
    (body('{"status": "IN_PROGRESS", "logs": [{"message": "cut: \\ud83d"}]}'), FILM, "A log cut within a sign."),
)
NO_ADDRESS = "What is no address of a film is neither followed nor shown as one: it is told at once, and asked again."
_ODD_FILM = '{"status": "completed", "result": {"video_url": "file:///etc/passwd", "url": "javascript:alert(1)"}}'
ODD_FILMS = (
    Row("ltx", "poll", "body", FILM, NO_ADDRESS, options={"body": _ODD_FILM}),
    Row("netwrck", "poll", "body", FILM, NO_ADDRESS, options={"body": _ODD_FILM}),
    Row("fal", "result", "body", FILM, NO_ADDRESS, options={"body": '{"video": {"url": "https://169.254.169.254/"}}'}),
    Row(
        "bytecompute",
        "download",
        "body",
        FILM,
        NO_ADDRESS,
        options={"body": '{"url": "data:video/mp4;base64,AAAA"}', "type": "application/json"},
    ),
)
LOOK_OFTEN = "Nobody could see how it ended: the price stays held, and each check_job asks again."
POLL_OFTEN = (
    (status(500), UNSURE, LOOK_OFTEN),
    (status(401), UNSURE, LOOK_OFTEN),
)
FORGOTTEN = (status(404), paid(ErrorCode.EXPIRED), "The provider does not know the order any more: the film is gone.")

ASKED_INSTEAD = "Followed by asking instead."
STREAM = (
    (status(404), FILM, ASKED_INSTEAD),
    (status(500), FILM, ASKED_INSTEAD),
    (plain("wrong_type"), FILM, ASKED_INSTEAD),
    (plain("drop_before"), FILM, ASKED_INSTEAD),
    (plain("cut"), FILM, ASKED_INSTEAD),
    (body("data: nonsense\n\n", type="text/event-stream"), FILM, ASKED_INSTEAD),
    (body('data: {"status": "ODD"}\n\n', type="text/event-stream"), FILM, ASKED_INSTEAD),
)
RESULT = (
    (status(401, 403, 404, 408, 429), FILM, LOOK),
    (status(500), FILM, "The order is done, only its result cannot be read: it is asked again."),
    (status(503), FILM, "The order is done, only its result cannot be read: it is asked again."),
    (plain("html"), FILM, LOOK),
    (plain("wrong_type"), FILM, LOOK),
    (plain("truncated"), FILM, LOOK),
    (plain("cut"), FILM, LOOK),
    (plain("drop_before"), FILM, LOOK),
    (body("{}"), FILM, LOOK),
)

FETCH = "The film is paid: it is fetched again, from where it stopped where the provider allows that."
DOWNLOAD = (
    (status(404, 403), FILM, "Not there yet, perhaps: its address is asked for, and it is fetched again."),
    (status(429, 500, 502, 503), FILM, FETCH),
    (plain("cut"), FILM, FETCH),
    (plain("drop_before"), FILM, FETCH),
    (plain("wrong_type"), FILM, "What came is not a film: it is fetched again."),
    (plain("truncated"), FILM, "What came is not a whole film: it is fetched again."),
    (plain("packed"), FILM, UNASKED),
)
DOWNLOAD_OFTEN = (
    (status(404), paid(ErrorCode.EXPIRED), "The film is gone from its address; it was made and paid."),
    (plain("wrong_type"), paid(ErrorCode.BAD_REPLY), "What lies at the film's address is not a film."),
)

CANCEL = End(State.CANCELLED, None, ChargeState.RELEASED, 1)
PASSED_ON = "The wish is passed on again until the provider answers it."
CANCELS = (
    (status(500), CANCEL, PASSED_ON),
    (status(429), CANCEL, PASSED_ON),
    (plain("html"), CANCEL, PASSED_ON),
    (plain("drop_before"), CANCEL, PASSED_ON),
    (plain("drop_after"), CANCEL, "The provider had stopped it, and says so when asked again."),
    (body('{"success": false}'), CANCEL, "Whatever this answer meant, how it ends is what counts."),
)

NO_FILM = "It was taken and ended without a film"
FAILS = plain("fails"), plain("content")
ENDINGS = {
    "fal": (free(ErrorCode.UNAVAILABLE), paid(ErrorCode.CONTENT_REFUSED)),
    "ltx": (paid(ErrorCode.UNAVAILABLE), paid(ErrorCode.CONTENT_REFUSED)),
    "netwrck": (free(ErrorCode.UNAVAILABLE), free(ErrorCode.CONTENT_REFUSED)),
    "bytecompute": (paid(ErrorCode.UNAVAILABLE), paid(ErrorCode.CONTENT_REFUSED)),
    V1: (UNSURE, End(State.FAILED, ErrorCode.CONTENT_REFUSED, ChargeState.RELEASED, 1)),
}
CHARGED = {
    ChargeState.RELEASED: "; it is free.",
    ChargeState.BOOKED: "; it may be charged.",
    ChargeState.HELD: " or was cut; not known.",
}
SMALLER = plain("smaller_film"), FILM, "The film is kept, and what differs from the order is told."
NEVER = (
    (plain("never_finishes"), UNSURE, LOOK_OFTEN),
    (plain("unknown_state"), UNSURE, LOOK_OFTEN),
)

FAULTS: tuple[Row, ...] = (
    *_rows((*REMOTE, V1), "submit", SUBMIT),
    *_rows(REMOTE, "submit", HALF_ANSWERS),
    *_rows(("ltx", V1), "submit", TURNED_AWAY),
    *_rows(("fal", "netwrck", "bytecompute"), "submit", BUSY),
    *_rows(REMOTE, "submit", [(status(429), refused(ErrorCode.RATE_LIMITED), OTHER_OFFER)], OFTEN, deadline=True),
    *_rows((V1,), "submit", [(plain("html_after"), UNSURE, NOT_SENT_AGAIN)]),
    *_rows((V1,), "submit", [(plain("cut"), UNSURE, "The film broke off, and nobody else can have it.")]),
    *_rows(("fal", "ltx"), "upload", UPLOAD),
    *_rows(("fal", "ltx"), "upload", UPLOAD_REFUSED, OFTEN),
    *_rows(("fal", "ltx"), "put", PUT),
    *_rows(("fal", "ltx"), "put", [(status(500), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER)], OFTEN),
    *_rows(REMOTE, "poll", POLL),
    *_rows(REMOTE, "poll", [*POLL_OFTEN, FORGOTTEN], OFTEN, deadline=True),
    *_rows(("fal",), "poll", FAL_POLL),
    *ODD_FILMS,
    *_rows(("fal",), "stream", STREAM, OFTEN),
    *_rows(("fal",), "result", RESULT),
    *_rows(REMOTE, "download", DOWNLOAD),
    *_rows(REMOTE, "download", DOWNLOAD_OFTEN, OFTEN),
    *_rows(("fal",), "cancel", CANCELS),
    *(
        Row(provider, "order", kind, end, NO_FILM + CHARGED[end.bill])
        for provider, ends in ENDINGS.items()
        for (kind, _, _), end in zip(FAILS, ends, strict=True)
    ),
    *_rows(("fal",), "order", [(plain("refused"), paid(ErrorCode.REJECTED), "Only the result says what was wrong.")]),
    *_rows((*REMOTE, V1), "order", [SMALLER]),
    *_rows(REMOTE, "order", NEVER, deadline=True),
    *_rows(REMOTE, "order", [(plain("url_expires"), paid(ErrorCode.EXPIRED), "The film was gone before it came.")]),
    *_rows(("bytecompute",), "order", [(plain("adjusts"), FILM, "What the provider changed is told.")]),
    *_rows(("bytecompute",), "order", [(plain("json_download"), FILM, "The film is fetched from where it says.")]),
)

# -- films from a sound and from films: what could differ by the operation

_SENT_AGAIN = "Nothing is ordered yet: a new place is asked for, and the film or the sound is sent there."
_OWN_WORDS = (
    (plain("refuse"), refused(ErrorCode.REJECTED), "The provider names the value it does not allow: change it."),
    (plain("content"), refused(ErrorCode.CONTENT_REFUSED), "A filter: change the prompt or the film."),
    (status(500), UNSEEN, NOT_SENT_AGAIN),
    (plain("html_after"), UNSURE, NOT_SENT_AGAIN),
    (plain("drop_after"), UNSURE, NOT_SENT_AGAIN),
)
_FILM_SENT = (
    (status(403, 412), FILM, _SENT_AGAIN),
    (status(500, 503), FILM, _SENT_AGAIN),
    (plain("drop_before"), FILM, _SENT_AGAIN),
    (plain("drop_after"), FILM, _SENT_AGAIN),
)
_NO_ROOM = (
    (status(500), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
    (plain("drop_before"), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
)
_NO_PLACE = (
    (plain("locked"), refused(ErrorCode.OUT_OF_CREDIT), OTHER_OFFER),
    (status(503), refused(ErrorCode.UNAVAILABLE), OTHER_OFFER),
)
_GONE = plain("url_expires"), paid(ErrorCode.EXPIRED), "The film was gone before it came."
_CUT = plain("cut"), UNSURE, "The film broke off, and nobody else can have it."


def _of(operation: str, rows: Iterable[Row]) -> Iterator[Row]:
    return (replace(row, operation=operation) for row in rows)


def _endings(provider: str) -> Iterator[Row]:
    for fault, end in zip(FAILS, ENDINGS[provider], strict=True):
        yield from _rows((provider,), "order", [(fault, end, NO_FILM + CHARGED[end.bill])])


EDIT_FAULTS: tuple[Row, ...] = (
    *_of("extend", _rows(("fal", "ltx"), "put", _FILM_SENT)),
    *_of("extend", _rows(("fal", "ltx"), "put", _NO_ROOM, OFTEN)),
    *_of("extend", _rows(("ltx",), "upload", [(plain("truncated"), FILM, _SENT_AGAIN)])),
    *_of("retake", _rows(("fal",), "upload", [(body("{}"), FILM, _SENT_AGAIN)])),
    *_of("audio_to_video", _rows(("fal", "ltx"), "put", [(plain("html"), FILM, _SENT_AGAIN)])),
    *_of("audio_to_video", _rows(("fal", "ltx"), "upload", _NO_PLACE, OFTEN)),
    *_of("extend", _rows((V1,), "submit", [*_OWN_WORDS[2:], _CUT])),
    *(
        row
        for operation in ("audio_to_video", "extend", "retake")
        for rows in (
            _rows(("fal", "ltx"), "submit", _OWN_WORDS),
            _rows((V1,), "submit", _OWN_WORDS[:2]),
            _endings("fal"),
            _endings("ltx"),
            _endings(V1),
            _rows(("fal", "ltx", V1), "order", [SMALLER]),
            _rows(("fal", "ltx"), "order", [_GONE]),
        )
        for row in _of(operation, rows)
    ),
    *(
        row
        for rows in (
            _rows(("fal", "ltx"), "submit", _OWN_WORDS),
            _endings("fal"),
            _endings("ltx"),
            _rows(("fal", "ltx"), "order", [SMALLER, _GONE]),
        )
        for row in _of("reframe", rows)
    ),
)
