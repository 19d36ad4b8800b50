"""`token new`: a token is shown once, and the file that servers read keeps no more than its hash."""

import stat
import tomllib
from pathlib import Path

import pytest

from ltx_mcp.server.auth.tokens_file import TokensFile, hash_of, parse_tokens
from tests.cli.conftest import Command


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that LTX_MCP_TOKENS_FILE names; it is not there yet."""
    return tmp_path / "tokens.toml"


def test_tokens_are_added_to_a_file_that_only_its_owner_reads(ltx: Command, tokens: Path) -> None:
    first = ltx("token", "new", "ann", "--add", LTX_MCP_TOKENS_FILE=str(tokens))
    assert (first.returncode, first.stdout.count("\n")) == (0, 1)
    assert "not shown again" in first.stderr
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    tokens.chmod(0o644)
    more = ("--scopes", "ltx:read", "--may-act", "--expires", "2027-01-01", "--add")
    second = ltx("token", "new", "ci.build", *more, LTX_MCP_TOKENS_FILE=str(tokens))
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    file = TokensFile(tokens)
    rows = [file.find(ended.stdout.strip()) for ended in (first, second)]
    assert [row and (row.name, sorted(row.scopes), row.may_act) for row in rows] == [
        ("ann", ["ltx:order", "ltx:read"], False),
        ("ci.build", ["ltx:read"], True),
    ]
    assert first.stdout.strip() not in tokens.read_text(encoding="utf-8")
    assert str(tomllib.loads(tokens.read_text(encoding="utf-8"))["token"][1]["expires"]) == "2027-01-01"


def test_without_add_the_row_is_printed_beside_the_token(ltx: Command) -> None:
    token, row = ltx("token", "new", "ann").stdout.split("\n\n")
    assert parse_tokens(row)[0].sha256 == hash_of(token)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a b",), "'a b' is no name"),
        (("a/b",), "'a/b' is no name"),
        (("token|x",), "'token|x' is no name"),
        (("ann", "--scopes", "ltx:admin"), "'ltx:admin' is no scope; known are ltx:read, ltx:order, ltx:act"),
        (("ann", "--scopes", ","), "Give some of ltx:read"),
        (("ann", "--expires", "soon"), "'soon' does not match"),
    ],
)
def test_what_no_server_would_take_is_not_made(
    ltx: Command, tokens: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = ltx("token", "new", *arguments, "--add", LTX_MCP_TOKENS_FILE=str(tokens))
    assert (ended.returncode, ended.stdout, tokens.exists()) == (2, "", False)
    assert words in ended.stderr


def test_a_broken_file_is_not_added_to(ltx: Command, tokens: Path) -> None:
    tokens.write_text("[[token", encoding="utf-8")
    ended = ltx("token", "new", "ann", "--add", LTX_MCP_TOKENS_FILE=str(tokens))
    assert (ended.returncode, ended.stdout, tokens.read_text(encoding="utf-8")) == (3, "", "[[token")
    assert ltx("token", "new", "ann", "--add").stderr.startswith(
        "ltx-mcp: invalid_request: LTX_MCP_TOKENS_FILE names no"
    )
