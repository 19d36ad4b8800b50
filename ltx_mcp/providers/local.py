"""The preview provider: draws on this machine what the offer says, and joins videos. Nothing is ordered, nothing is
charged.

It speaks to no service: `submit` only hands back held work, which a child process does later.
"""

from collections.abc import Mapping
from pathlib import Path

from ltx_mcp.domain.offer import CAPTION, Adjustment, Offer
from ltx_mcp.domain.request import EDITS
from ltx_mcp.media.messages import (
    EditOrder,
    JoinClip,
    JoinNotes,
    JoinOrder,
    ReframeOrder,
    RenderNotes,
    RenderOrder,
    ReportProgress,
)
from ltx_mcp.providers.base import AdapterContext, DeferredVideo


def _order(offer: Offer, uris: Mapping[str, str]) -> RenderOrder:
    return RenderOrder(
        prompt=offer.prompt,
        width=offer.width,
        height=offer.height,
        fps=offer.fps,
        duration=float(offer.duration),
        audio=offer.generate_audio,
        camera_motion=offer.camera_motion,
        image=uris.get("image"),
        end_image=uris.get("end_image"),
        sound=uris.get("audio"),
        seed=offer.seed,
    )


def _edit(offer: Offer, uris: Mapping[str, str]) -> EditOrder:
    return EditOrder(
        what="extend" if offer.operation == "extend" else "retake",
        video=uris["video"],
        prompt=offer.prompt,
        duration=float(offer.duration),
        mode=offer.mode,
        start_time=float(offer.start_time or 0),
    )


def _join(offer: Offer, uris: Mapping[str, str]) -> JoinOrder:
    assert offer.join is not None
    settings = offer.join.settings
    clips = tuple(
        JoinClip(uris[f"video{number}"], clip.start, clip.end, clip.continues, clip.title)
        for number, clip in enumerate(offer.join.clips, 1)
    )
    return JoinOrder(
        clips=clips,
        width=offer.width,
        height=offer.height,
        fps=offer.fps,
        transition=settings.transition,
        transition_s=float(settings.transition_s),
        sound=uris.get("audio"),
        sound_level=float(settings.sound_level or 0),
        captions=settings.captions,
        burn_captions=settings.burn_captions,
    )


class Local:
    """Renders in a child process."""

    def __init__(self, context: AdapterContext) -> None:
        self._media = context.media

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> DeferredVideo:
        """Held work that draws the video; cancelling it kills the child and leaves nothing."""

        async def write(path: Path, report: ReportProgress) -> tuple[Adjustment, ...]:
            notes = await self._make(offer, uris, path, report)
            if not notes.missing_glyphs:
                return ()
            drawn = f"without {notes.missing_glyphs} of its characters (no font here)"
            return (Adjustment(CAPTION, "all its words" if offer.join else "the whole prompt", drawn, "film"),)

        return DeferredVideo(write)

    async def _make(
        self, offer: Offer, uris: Mapping[str, str], path: Path, report: ReportProgress
    ) -> RenderNotes | JoinNotes:
        if offer.operation == "join":
            return await self._media.join(_join(offer, uris), path, report)
        if offer.operation == "reframe":
            return await self._media.reframe(ReframeOrder(uris["video"], offer.width, offer.height), path, report)
        if offer.operation in EDITS:
            return await self._media.edit(_edit(offer, uris), path, report)
        return await self._media.render(_order(offer, uris), path, report)


make_adapter = Local
