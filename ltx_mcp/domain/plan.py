"""From a request to what could be ordered, in order of preference, and why everything else could not.

Pure: the same request, media and catalog give the same plan. Afterwards nothing is decided but "next offer".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.catalog import OfferSpec, ProviderSpec
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.offer import Candidate, Offer, Refusal
from ltx_mcp.domain.offer_builder import make_offer
from ltx_mcp.domain.output_format import video_size
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import quote
from ltx_mcp.domain.request import PREVIEW_PROVIDER, Input, Request, assumed_s
from ltx_mcp.domain.takes import share_of, takes_price
from ltx_mcp.domain.unit_price import UnitPrices, with_unit_price


@dataclass(frozen=True)
class Availability:
    """Whether a provider can be used now; `unavailable_reason` names the setting that prevents it."""

    usable: bool
    unavailable_reason: str = ""


@dataclass(frozen=True)
class Catalog:
    """Everything that could be ordered: the providers, their availability, the operator's order of preference, and the
    prices that providers reported since."""

    providers: tuple[ProviderSpec, ...]
    availability: Mapping[str, Availability]
    order: tuple[str, ...]
    unit_prices: UnitPrices = field(default_factory=dict)

    @property
    def is_real(self) -> bool:
        """Whether `auto` can order anything but the preview now."""
        return any(self.availability[name].usable for name in self.order if name != PREVIEW_PROVIDER)

    @property
    def usable(self) -> tuple[str, ...]:
        """The providers that can be used now."""
        return tuple(facts.name for facts in self.providers if self.availability[facts.name].usable)

    def facts(self, provider: str) -> ProviderSpec:
        """A provider that is known to exist."""
        return next(facts for facts in self.providers if facts.name == provider)


@dataclass(frozen=True)
class Plan:
    """Offers in the order in which they will be tried; `unusable` ones only lack a key, an address or a setting."""

    offers: tuple[Offer, ...]
    unusable: tuple[tuple[Offer, str], ...]
    refused: tuple[Refusal, ...]


def assumed_inputs(arguments: EstimateCost) -> tuple[Input, ...]:
    """The audio or video that an estimate assumes: of that duration, and of the requested size and rate."""
    length = assumed_s(arguments)
    if length is None:
        return ()
    if arguments.operation == "audio_to_video":
        return (Input("audio", duration=length),)
    width, height = video_size(arguments.resolution, arguments.aspect_ratio)
    video = Input("video", width=width, height=height, duration=length, fps=arguments.fps, has_audio=True)
    return (replace(video, frames=round(length * arguments.fps)),)


MAX_REASONS = 4
"""How many are shown when nothing fits; estimate_cost shows all."""


def make_offers(request: Request, inputs: Sequence[Input], catalog: Catalog) -> Plan:
    """All that could be ordered for `request`. Raises CallerError for an unknown provider, model or operation."""
    check_names(request, catalog)
    candidates: list[Candidate] = []
    unusable: list[tuple[Offer, str]] = []
    refused: list[Refusal] = []
    for provider, row in _candidates(request, catalog):
        made = make_offer(request, inputs, provider, row)
        availability = catalog.availability[provider.name]
        if isinstance(made, Refusal):
            refused.append(made)
        elif availability.usable:
            candidates.append(made)
        else:
            unusable.append((made.offer, availability.unavailable_reason))
    candidates.sort(key=lambda candidate: _preference(candidate, catalog))
    return Plan(tuple(candidate.offer for candidate in candidates), tuple(unusable), tuple(refused))


def select_offers(request: Request, inputs: Sequence[Input], catalog: Catalog) -> tuple[Offer, ...]:
    """The offers to try, in order; at least one. Raises CallerError or SetupError that say what would be possible."""
    plan = make_offers(request, inputs, catalog)
    if request.operation == "join" and not plan.offers:
        raise CallerError(ErrorCode.INVALID_REQUEST, plan.refused[0].reason)
    offers = _within_auto(request, plan.offers, catalog)
    if offers:
        cap = ceiling(offers, share_of(request.max_cost_usd, request.takes))
        affordable = within(offers, cap)
        if affordable:
            return affordable
        raise _above_cap(min(offers, key=lambda offer: offer.at_most_usd), request)
    if plan.unusable and not any(refusal.provider in catalog.order for refusal in plan.refused):
        raise SetupError(ErrorCode.MISSING_KEY, plan.unusable[0][1], "estimate_cost shows what each provider needs.")
    raise _not_supported(request, inputs, catalog, plan.refused)


FAILOVER_PRICE_FACTOR = Decimal("1.1")
"""Without a cap from the caller, a later offer may cost this many times the first one."""


def ceiling(offers: Sequence[Offer], max_cost_usd: Decimal | None = None, above_usd: Decimal | None = None) -> Decimal:
    """USD that no offer of a job may exceed: the caller's cap, or a tenth more than the first offer; and never more
    than a person who is asked above `above_usd` agreed to."""
    first = offers[0]
    with_spare = first.at_most_usd * FAILOVER_PRICE_FACTOR
    cap = with_spare if max_cost_usd is None else max_cost_usd
    if above_usd is None:
        return cap
    return min(cap, above_usd if first.fits(above_usd) else with_spare)


def within(offers: Sequence[Offer], max_usd: Decimal) -> tuple[Offer, ...]:
    """The offers that may be tried."""
    return tuple(offer for offer in offers if offer.fits(max_usd))


def _above_cap(cheapest: Offer, request: Request) -> CallerError:
    cap = request.max_cost_usd or Decimal()
    price = f"he price is {takes_price(cheapest, request.takes)} at {cheapest.provider}"
    if cap == 0:
        return CallerError(
            ErrorCode.OVER_BUDGET,
            f"max_cost_usd=0 admits only what costs nothing; t{price}.",
            f"Give max_cost_usd={to_text(cheapest.at_most_usd * request.takes)} or leave it out for no cap; "
            f"provider={PREVIEW_PROVIDER} draws a free preview.",
        )
    return CallerError(
        ErrorCode.OVER_BUDGET,
        f"T{price}, above max_cost_usd={to_text(cap)}.",
        f"Raise max_cost_usd, or ask for less: {'fewer takes, ' if request.takes > 1 else ''}shorter or a lower "
        "resolution.",
    )


def check_names(request: Request, catalog: Catalog) -> None:
    """Raises CallerError with the allowed values if provider, model or operation is unknown."""
    rows = [row for provider in catalog.providers for row in provider.offer]
    _check_name("provider", request.provider, ("auto", *(facts.name for facts in catalog.providers)))
    _check_name("model", request.model, ("auto", *dict.fromkeys(row.model for row in rows)))
    _check_name("operation", request.operation, tuple(dict.fromkeys(row.operation for row in rows)))


def _check_name(argument: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{argument}: {quote(value)} is not one of {', '.join(allowed)}.")


def _candidates(request: Request, catalog: Catalog) -> Iterable[tuple[ProviderSpec, OfferSpec]]:
    return (
        (provider, with_unit_price(row, catalog.unit_prices.get((provider.name, row.endpoint))))
        for provider in catalog.providers
        if request.provider in ("auto", provider.name)
        for row in provider.offer
        if row.operation == request.operation and request.model in ("auto", row.model)
    )


def is_preview_only(request: Request, catalog: Catalog) -> bool:
    """Whether this request can only become a preview now."""
    return request.provider == PREVIEW_PROVIDER or (request.provider == "auto" and not catalog.is_real)


def _within_auto(request: Request, offers: Sequence[Offer], catalog: Catalog) -> tuple[Offer, ...]:
    """`auto` never selects the preview while a real provider is usable, nor a provider outside the operator's list."""
    if request.provider != "auto":
        return tuple(offers)
    names = [name for name in catalog.order if name != PREVIEW_PROVIDER] if catalog.is_real else [PREVIEW_PROVIDER]
    return tuple(offer for offer in offers if offer.provider in names)


def _preference(candidate: Candidate, catalog: Catalog) -> tuple[float, Decimal, Decimal, int]:
    names, offer = [facts.name for facts in catalog.providers], candidate.offer
    place = catalog.order.index(offer.provider) if offer.provider in catalog.order else len(names)
    return candidate.deviation, offer.at_most_usd, offer.cost_usd, place


def _not_supported(
    request: Request, inputs: Sequence[Input], catalog: Catalog, refused: Sequence[Refusal]
) -> CallerError:
    """An error with what is allowed, and the nearest offer with its price."""
    nearest = make_offers(replace(request, adjust="nearest"), inputs, catalog)
    offers = _within_auto(request, nearest.offers, catalog)
    names = {offer.provider for offer in offers} or {refusal.provider for refusal in refused}
    reasons = refusal_texts((row.provider, row.model, row.reason) for row in refused if row.provider in names)
    hint = "estimate_cost and ltx://models show what each provider offers."
    if request.seed is not None and (places := _with_seed(request, catalog)):
        hint = f"seed is offered by {', '.join(places)}; anywhere else leave it out."
    if offers:
        best = offers[0]
        changes = ", ".join(f"{change.field}={change.got}" for change in best.adjustments if change.by == "server")
        hint = (
            f"Nearest: {changes} at {best.provider} for {takes_price(best, request.takes)}; ask for that, or pass "
            "adjust=nearest."
        )
    return CallerError(ErrorCode.NOT_SUPPORTED, " ".join(reasons[:MAX_REASONS]) or _no_such_row(request, catalog), hint)


def _with_seed(request: Request, catalog: Catalog) -> list[str]:
    """Where this operation has a seed: `fal (ltx-2.3-open)`."""
    rows = [(facts.name, row) for facts in catalog.providers for row in facts.offer]
    return [f"{name} ({row.model})" for name, row in rows if row.operation == request.operation and row.seed]


def refusal_texts(refused: Iterable[tuple[str, str, str]]) -> list[str]:
    """Sentences for refusals, given as provider, model and reason: each reason once, with its models."""
    models: dict[tuple[str, str], list[str]] = {}
    for provider, model, reason in refused:
        models.setdefault((provider, reason), []).append(model)
    return [f"{provider} {', '.join(of)}: {reason}" for (provider, reason), of in models.items()]


def _no_such_row(request: Request, catalog: Catalog) -> str:
    """The sentence for a provider and a model that exist, but not together."""
    rows = [
        row
        for facts in catalog.providers
        if request.provider in ("auto", facts.name)
        for row in facts.offer
        if row.operation == request.operation
    ]
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    provider = "any provider" if request.provider == "auto" else request.provider
    return f"model {request.model} is not offered by {provider} for {request.operation}; allowed: {models}."
