"""Joins clips to a film: for now the first clip alone, in the size that was asked for."""

from pathlib import Path

from ltx_mcp.media.messages import JoinNotes, JoinOrder, ReframeOrder, ReportProgress
from ltx_mcp.media.preview.reframe import reframe


def join(order: JoinOrder, out: Path, report: ReportProgress) -> JoinNotes:
    """Writes the film to `out`."""
    reframe(ReframeOrder(order.clips[0].path, order.width, order.height), out, report)
    return JoinNotes(0, 0.0)
