"""Placement: turns a caller's arguments into the one job or set of their request, or into a question to a person."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from ltx_mcp import telemetry
from ltx_mcp.domain import captions
from ltx_mcp.domain.arguments import EstimateCost, JoinVideos, OrderArguments
from ltx_mcp.domain.confirmation import ConfirmationPrompt, ConfirmationReply, needs_confirmation
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.join import name_video
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import (
    Catalog,
    Plan,
    assumed_inputs,
    ceiling,
    is_preview_only,
    make_offers,
    select_offers,
    within,
)
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.domain.request import canonical_form, media_arguments, to_request
from ltx_mcp.domain.takes import share_of
from ltx_mcp.jobs.accounts import catalog_for
from ltx_mcp.jobs.callers import CallerLimits, LimitsOf
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.confirmation import ConfirmationStore, PriceRequest
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.resolve_inputs import InputResolver, ResolvedInput, with_found
from ltx_mcp.jobs.spans import PLACE, facts_of
from ltx_mcp.jobs.store.rows import NewJob, PlacedJob, PlacedSet
from ltx_mcp.jobs.store.same import Repeat, RequestIdentity
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.inputs import InputReader, fetch_by_proxy, fetch_url


@dataclass
class Placement:
    """Plans requests and inserts them with `place`. `limits_of` says what each caller may order, and `lookup` gives
    the keys of teams."""

    catalog: Catalog
    store: Store
    place: Callable[[NewJob, datetime, Repeat], PlacedJob | PlacedSet]
    confirmations: ConfirmationStore
    files: FileStore
    reader: InputReader
    now: Callable[[], datetime]
    limits_of: LimitsOf = lambda caller: CallerLimits()
    lookup: Callable[[str], str] = lambda name: ""

    def catalog_of(self, caller: str) -> Catalog:
        """What this caller can order."""
        return catalog_for(self.catalog, self.limits_of(caller), self.lookup)

    async def order(
        self,
        arguments: OrderArguments,
        caller: str,
        answer: ConfirmationReply | None,
        *,
        can_ask: bool,
        repeat: Repeat,
    ) -> PlacedJob | PlacedSet | ConfirmationPrompt:
        """The job or set of this request: placed now, or the one it already has, as `repeat` decides. With `can_ask` it
        may return a question to a person; their `answer` arrives with the same arguments in a later call.

        Raises CallerError or SetupError. Unless one is returned, nothing is kept: no row, no file, no reservation.
        """
        try:
            with telemetry.span(PLACE, {}) as facts:
                ordered = await self._order(arguments, caller, answer, can_ask=can_ask, repeat=repeat)
                if not isinstance(ordered, ConfirmationPrompt):
                    facts |= facts_of(ordered.followed)
                return ordered
        except CallerError as error:
            if isinstance(arguments, JoinVideos):
                videos = [shorten(video.strip()) for video in arguments.videos]
                raise CallerError(error.code, name_video(error.message, videos), error.hint) from error
            raise

    async def _order(
        self,
        arguments: OrderArguments,
        caller: str,
        answer: ConfirmationReply | None,
        *,
        can_ask: bool,
        repeat: Repeat,
    ) -> PlacedJob | PlacedSet | ConfirmationPrompt:
        limits = self.limits_of(caller)
        catalog = catalog_for(self.catalog, limits, self.lookup)
        async with self._media(arguments, caller) as given:
            inputs = tuple(each.input for each in given)
            request = to_request(arguments)
            normal, takes = canonical_form(request, inputs), request.takes
            try:
                for each in given:
                    each.check()
                offers = with_found(select_offers(request, inputs, catalog), given)
                cap_usd, above_usd = (share_of(usd, takes) for usd in (request.max_cost_usd, limits.confirm_above_usd))
                most_usd = ceiling(offers, cap_usd, above_usd)
                offers = within(offers, most_usd)
                await self.store.run_in_thread(self.files.check_room, offers[0], takes)
            except LtxError:
                is_preview = is_preview_only(request, catalog)
                wanted = RequestIdentity(caller, arguments.request_key, normal, is_preview, repeat)
                same = await self.store.run_in_thread(self.store.find_same, wanted, self.now())
                if same is not None:
                    return _placed_before(same)
                raise
            accounts = {name: account for name, account in limits.accounts.items() if _is_tried(name, offers)}
            given_by = (limits.team, accounts, telemetry.traceparent())
            new = NewJob(caller, arguments.request_key, normal, offers, inputs, most_usd, takes, *given_by)
            price_request = _price_request(new, request.max_cost_usd, limits)
            if price_request is not None or any(each.path is not None for each in given):
                # do not ask about, or keep files of, what would be refused anyway
                found = await self.store.run_in_thread(self.store.check, new, self.now(), repeat)
                if found is not None:
                    return _placed_before(found)
            if price_request is not None:
                settle = partial(self.confirmations.settle, price_request, answer, self.now(), can_ask=can_ask)
                if (question := await self.store.run_in_thread(settle)) is not None:
                    return question
            for each in given:
                if each.path is not None:
                    await self.files.save_input(each.input, each.path)
        return await self.store.run_in_thread(self.place, new, self.now(), repeat)

    async def quotes(self, arguments: EstimateCost, caller: str) -> Plan:
        """Everything that could be ordered for this, and why the rest cannot.

        Given media files are measured; for the others the arguments count. Raises CallerError or SetupError.
        """
        _check_estimate(arguments)
        async with self._media(arguments, caller) as given:
            for each in given:
                each.check()
            inputs = (*(each.input for each in given), *assumed_inputs(arguments))
        plan = make_offers(to_request(arguments), inputs, self.catalog_of(caller))
        unusable = zip(with_found([offer for offer, _ in plan.unusable], given), plan.unusable, strict=True)
        return replace(
            plan,
            offers=with_found(plan.offers, given),
            unusable=tuple((offer, why_not) for offer, (_, why_not) in unusable),
        )

    @asynccontextmanager
    async def _media(self, arguments: OrderArguments | EstimateCost, caller: str) -> AsyncIterator[list[ResolvedInput]]:
        """The media of a request, read into a folder that is removed afterwards; captions are looked at before."""
        if isinstance(arguments, JoinVideos) and arguments.captions.strip():
            captions.parse(arguments.captions)
        if not media_arguments(arguments):
            yield []
            return
        async with self.files.folder() as folder:
            yield await InputResolver(self.reader, self.store, self.files, caller, folder).resolve(arguments)


def _price_request(new: NewJob, cap_usd: Decimal | None, limits: CallerLimits) -> PriceRequest | None:
    """The price a person must agree to; None if no confirmation is needed."""
    above_usd, setting = limits.confirm_above_usd, limits.confirm_setting
    if above_usd is None or not needs_confirmation(new.offers, above_usd, new.takes):
        return None
    return PriceRequest(new.caller, new.request_key, new.normal, new.offers, above_usd, cap_usd, new.takes, setting)


def _is_tried(provider: str, offers: Sequence[Offer]) -> bool:
    return any(offer.provider == provider for offer in offers)


def make_reader(config: JobsConfig, media: MediaClient) -> InputReader:
    """What reads the media that callers give."""
    return InputReader(
        config.folders,
        media.probe_image,
        # a caller on this machine may reach what this machine reaches
        fetch_url if config.folders is None else fetch_by_proxy,
        probe_media=media.probe_media,
        cwd=config.cwd,
        is_typed=config.is_typed,
    )


def _placed_before(found: Job | JobSet) -> PlacedJob | PlacedSet:
    return PlacedSet(found, fresh=False) if isinstance(found, JobSet) else PlacedJob(found, fresh=False)


ESTIMATED_MEDIA = {
    "audio_to_video": ("audio",),
    "extend": ("video", "context"),
    "retake": ("video",),
    "reframe": ("video",),
}


def _check_estimate(arguments: EstimateCost) -> None:
    """Raises CallerError for an argument that its operation does not have."""
    if arguments.operation == "join":
        raise CallerError(
            ErrorCode.INVALID_REQUEST, "operation join has no price: join_videos joins on this machine, free of charge."
        )
    fit = ESTIMATED_MEDIA.get(arguments.operation, ())
    wrong = [name for name in ("audio", "video", "context") if getattr(arguments, name) and name not in fit]
    if wrong:
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"{', '.join(wrong)} {'does' if len(wrong) == 1 else 'do'} not belong to operation "
            f"{shorten(arguments.operation)}.",
            "Leave it out.",
        )
    if arguments.duration == "auto" and fit:
        raise CallerError(
            ErrorCode.INVALID_REQUEST, f"duration auto does not belong to operation {arguments.operation}."
        )
