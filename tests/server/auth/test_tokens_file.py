"""The tokens file: which rows count, when it is read again, and what is said of one that cannot be used."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.server.auth.principal import ACT, ORDER, READ
from ltx_mcp.server.auth.tokens_file import (
    TokensFile,
    TokensFileError,
    hash_of,
    new_token,
    parse_tokens,
    to_row_text,
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the tokens file as an editor does: another file in its place."""

    def write(*rows: str) -> Path:
        path, fresh = tmp_path / "tokens.toml", tmp_path / "fresh"
        fresh.write_text("\n".join(rows), encoding="utf-8")
        fresh.chmod(0o600)
        os.replace(fresh, path)
        return path

    return write


def row(token: str, name: str = "ann", scopes: tuple[str, ...] = (READ, ORDER)) -> str:
    return to_row_text(token, name, scopes, may_act=False, expires=None)


def test_a_made_row_is_read_as_it_was_meant_and_does_not_hold_the_token() -> None:
    token = new_token()
    text = to_row_text(token, "ci.build_2-x", (READ,), may_act=True, expires=date(2027, 1, 1))
    (found,) = parse_tokens(text)
    assert (found.name, found.scopes, found.may_act) == ("ci.build_2-x", frozenset({READ}), True)
    assert found.expires_at == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert found.sha256 == hash_of(token)
    assert token not in text
    assert len({new_token() for _ in range(100)}) == 100
    assert len(token.removeprefix("ltx_")) == 43


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[token]\nname = 1", r"no TOML: .*line 1"),
        ("[[tokens]]", "'tokens'; it may hold nothing but"),
        ("token = 3", "no \\[\\[token"),
        ("token = [3]", "no \\[\\[token"),
        ("{row}\n[[token]]\nname = 'a|b'", "token]] 2 \\('a|b'\\), no name"),
        ("{row}\n[[token]]\nname = ''", "token]] 2 \\(''\\), no name"),
        ("[[token]]\nname = 'bob'\nsha256 = 'ABC'", "token]] 1 \\('bob'\\), no sha256"),
        ("{row}\nmay-act = true", "1 \\('ann'\\), 'may-act'; known are"),
        ("{row}\nmay_act = 'yes'", "may_act that is neither"),
        ("{row}\nexpires = 'soon'", "no date such as 2027-01-01"),
        ("{row}\nexpires = 7", "no date such as 2027-01-01"),
        ("{row}\n{row}", "token]] 2, a sha256 for the second time"),
        ("[[token]]\nname = 'bob'\nsha256 = '{hash}'", "no scopes that are some of"),
        ("[[token]]\nname = 'bob'\nsha256 = '{hash}'\nscopes = ['ltx:admin']", "no scopes that are some of"),
        ("[[token]]\nname = 'bob'\nsha256 = '{hash}'\nscopes = [['ltx:read']]", "no scopes that are some of"),
        ("[[token]]\nname = 'bob'\nsha256 = '{hash}'\nscopes = []", "no scopes that are some of"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_what_is_wrong(text: str, words: str) -> None:
    token = new_token()
    with pytest.raises(TokensFileError, match=words):
        parse_tokens(text.replace("{row}", row(token)).replace("{hash}", hash_of(token)))


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("'2027-01-01'", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T12:00:00", datetime(2027, 1, 1, 12, tzinfo=UTC)),
        ("2027-01-01T12:00:00+02:00", datetime(2027, 1, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_day_and_a_time_without_a_zone_are_of_utc(given: str, at: datetime) -> None:
    assert parse_tokens(f"{row(new_token())}expires = {given}")[0].expires_at == at.timestamp()


def test_a_change_counts_at_once(write: Write) -> None:
    old, new = new_token(), new_token()
    file = TokensFile(write(row(old)))
    assert file.find(old)
    assert file.find(new) is None
    write(row(old), row(new, "bob", (ACT,)))
    found = file.find(new)
    assert found
    assert (found.name, found.scopes) == ("bob", frozenset({ACT}))
    write("# everybody out")
    assert file.find(old) is file.find(new) is None


def test_a_file_that_breaks_leaves_what_it_said_and_is_told_once(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    token = new_token()
    path = write(row(token))
    file = TokensFile(path)
    with caplog.at_level(logging.DEBUG):
        write("[[token")
        assert [bool(file.find(token)) for _ in range(3)] == [True] * 3
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "is no TOML" in caplog.text
        path.unlink()
        assert [bool(file.find(token)) for _ in range(3)] == [True] * 3
        assert len(caplog.records) == 2
    write(row(new_token()))
    assert file.find(token) is None


@pytest.mark.parametrize("content", [None, b"[[token]]\nname = 3", b"\xff", b"#" * 4_000_001])
def test_a_file_that_is_broken_at_the_start_stops_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokens.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SetupError, match=r"LTX_MCP_TOKENS_FILE: .*tokens\.toml ") as caught:
        TokensFile(path)
    assert "ltx-mcp token new" in caught.value.hint


def test_a_file_that_others_can_read_is_warned_of(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(row(new_token()))
    TokensFile(path)
    assert not caplog.records
    path.chmod(0o640)
    TokensFile(path)
    assert "chmod 600" in caplog.text
