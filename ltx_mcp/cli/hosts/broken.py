"""Why a configuration cannot be edited, and at which line and column."""

from ltx_mcp.domain.errors import ErrorCode, SetupError


class BrokenConfigError(SetupError):
    """The text of a configuration is not what its host reads, or not in a form that can be edited safely."""

    def __init__(self, why: str, where: tuple[int, int] | None = None) -> None:
        place = f"line {where[0]}, column {where[1]}: " if where else ""
        super().__init__(ErrorCode.INVALID_REQUEST, f"{place}{why}")


def position(text: str, at: int) -> tuple[int, int]:
    """Line and column of a character, both from 1; CRLF, LF and a lone CR each end a line."""
    before = text[:at].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")
