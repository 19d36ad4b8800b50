"""`token`: makes the tokens that a shared service takes."""

from datetime import date, datetime
from pathlib import Path

import click

from ltx_mcp.cli.common import report_errors
from ltx_mcp.cli.output.messages import say
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.quoting import quote
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.private import open_private
from ltx_mcp.server.auth.principal import SCOPES, USER_SCOPES
from ltx_mcp.server.auth.tokens_file import NAME, TokensFileError, new_token, read_tokens, to_row_text


@click.group(short_help="Make a token for a caller of a shared service.")
def token() -> None:
    """Tokens for callers of `ltx-mcp serve --http` (LTX_MCP_TOKENS_FILE)."""


@token.command()
@click.argument("name")
@click.option(
    "--scopes",
    default=",".join(USER_SCOPES),
    show_default=True,
    help=f"What its holder may do, some of {', '.join(SCOPES)}, separated by commas.",
)
@click.option("--may-act", is_flag=True, help="Its holder may name the user for whom it calls, as X-LTX-User.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="The UTC day from which on it is refused.")
@click.option("--add", is_flag=True, help="Add its row to the file that LTX_MCP_TOKENS_FILE names.")
def new(name: str, scopes: str, may_act: bool, expires: datetime | None, add: bool) -> None:
    """Make a token for the caller NAME. It is shown this once; the file keeps no more than its hash."""
    with report_errors():
        made = new_token()
        row = to_row_text(made, _checked(name), _read_scopes(scopes), may_act=may_act, expires=_day(expires))
        file = _add(row) if add else None
    print(made)
    if file is not None:
        say(f"This token is not shown again. Its row is in {file}, which running servers read by themselves.")
        return
    say("This token is not shown again. Its row goes into the file that LTX_MCP_TOKENS_FILE names:")
    print(f"\n{row}", end="")


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        allowed = "1 to 64 letters, digits, '.', '_' and '-'"
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{quote(name)} is no name for a caller; give {allowed}.")
    return name


def _read_scopes(text: str) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if strange := [each for each in given if each not in SCOPES]:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{quote(strange[0])} is no scope; known are {', '.join(SCOPES)}.")
    if not given:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"Give some of {', '.join(SCOPES)}.")
    return given


def _day(expires: datetime | None) -> date | None:
    return expires.date() if expires else None


def _add(row: str) -> Path:
    """Append a row to the tokens file, which its owner alone can read from then on. Raises SetupError."""
    path = read_edge()[0].tokens_file
    if path is None:
        why = "LTX_MCP_TOKENS_FILE names no file to add a token to."
        raise SetupError(ErrorCode.INVALID_REQUEST, why, "Set it, as the server has it.")
    try:
        if path.exists():
            read_tokens(path)
        with open_private(path, "ab") as file:
            apart = b"\n" if file.tell() else b""
            file.write(apart + row.encode())
    except TokensFileError as error:
        raise SetupError(ErrorCode.INVALID_REQUEST, f"{path} {error}.", "Mend it first.") from error
    except OSError as error:
        raise SetupError(ErrorCode.STORAGE_FAILED, f"{path} cannot be written: {error.strerror}.") from error
    return path
