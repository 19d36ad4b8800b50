"""From a request to what could be ordered, in order of preference, and why everything else could not.

Pure: the same request, media and market give the same plan. After this nothing is decided but "next offer".
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.facts import InputRule, Limit, OfferFacts, ProviderFacts
from ltx_mcp.domain.price import from_credits, make_price, to_credits, to_text
from ltx_mcp.domain.request import Input, Request

LOCAL = "local"
FAILOVER_ALLOWANCE = Decimal("1.1")
"""Without a cap of the caller's own, a later offer may cost this many times the first one."""


@dataclass(frozen=True)
class Adjustment:
    """Something that differs from what was asked: by us before the order, by the provider, or seen in the film."""

    field: str
    asked: str
    got: str
    by: Literal["server", "provider", "film"]


@dataclass(frozen=True)
class Offer:
    """One order, complete: an adapter translates it and decides nothing. `cost_usd` is its whole price; what a budget
    holds for it may be more, where the provider counts in whole credits."""

    provider: str
    model: str
    operation: str
    endpoint: str
    prompt: str
    duration: Decimal
    resolution: str
    aspect_ratio: str
    width: int
    height: int
    fps: int
    generate_audio: bool
    camera_motion: str
    cost_usd: Decimal
    credits: int | None
    as_of: str
    source: str
    conversions: dict[str, str]
    adjustments: tuple[Adjustment, ...]
    whole_credits_usd: Decimal | None = None

    @property
    def held_usd(self) -> Decimal:
        """What a budget counts for it until the provider's own figure is known."""
        return max(self.cost_usd, self.whole_credits_usd or Decimal())


@dataclass(frozen=True)
class Refusal:
    """A candidate that cannot be ordered at all, in a sentence that says what it would allow."""

    provider: str
    model: str
    reason: str


@dataclass(frozen=True)
class Standing:
    """Whether a provider could be used now; `why_not` names the setting that stands in the way."""

    usable: bool
    why_not: str = ""


@dataclass(frozen=True)
class Market:
    """Everything that could be bought: the facts, who is usable, and the operator's order of preference."""

    providers: tuple[ProviderFacts, ...]
    standings: Mapping[str, Standing]
    order: tuple[str, ...]

    def facts(self, provider: str) -> ProviderFacts:
        """The facts of a provider that is known to exist."""
        return next(facts for facts in self.providers if facts.name == provider)


@dataclass(frozen=True)
class Plan:
    """Offers in the order they will be tried; `unusable` ones only lack a key, an address or a setting."""

    offers: tuple[Offer, ...]
    unusable: tuple[tuple[Offer, str], ...]
    refused: tuple[Refusal, ...]


MOST_REASONS = 4
"""Of those that are told when nothing fits; estimate_cost shows all."""


def film_size(resolution: str, aspect_ratio: str) -> tuple[int, int]:
    """Width and height in pixels: `resolution` labels the short side."""
    short = int(resolution.removesuffix("p"))
    across, down = (int(side) for side in aspect_ratio.split(":"))
    scale = Fraction(short, min(across, down))
    return round(across * scale), round(down * scale)


def make_offers(request: Request, inputs: Sequence[Input], market: Market) -> Plan:
    """All that could be ordered for `request`. Raises CallerError for a provider, model or operation nobody knows."""
    check_names(request, market)
    offers: list[Offer] = []
    unusable: list[tuple[Offer, str]] = []
    refused: list[Refusal] = []
    for provider, row in _candidates(request, market):
        answer = _offer(request, inputs, provider, row)
        standing = market.standings[provider.name]
        if isinstance(answer, Refusal):
            refused.append(answer)
        elif standing.usable:
            offers.append(answer)
        else:
            unusable.append((answer, standing.why_not))
    offers.sort(key=lambda offer: _preference(request, offer, market))
    return Plan(tuple(offers), tuple(unusable), tuple(refused))


def choose(request: Request, inputs: Sequence[Input], market: Market) -> tuple[Offer, ...]:
    """The offers to try, in order; at least one. Raises CallerError or SetupError saying what would be possible."""
    plan = make_offers(request, inputs, market)
    offers = _within_auto(request, plan.offers, market)
    if offers:
        cap = offers[0].cost_usd * FAILOVER_ALLOWANCE if request.max_cost_usd is None else request.max_cost_usd
        affordable = tuple(offer for offer in offers if offer.cost_usd <= cap)
        if affordable:
            return affordable
        cheapest = min(offers, key=lambda offer: offer.cost_usd)
        raise CallerError(
            ErrorCode.OVER_BUDGET,
            f"The price is {to_text(cheapest.cost_usd)} USD at {cheapest.provider}, above "
            f"max_cost_usd={to_text(request.max_cost_usd or Decimal())}.",
            "Raise max_cost_usd, or ask for less: shorter or a lower resolution.",
        )
    if plan.unusable and not any(refusal.provider in market.order for refusal in plan.refused):
        raise SetupError(ErrorCode.MISSING_KEY, plan.unusable[0][1], "estimate_cost shows what each provider needs.")
    raise _not_supported(request, inputs, market, plan.refused)


def check_names(request: Request, market: Market) -> None:
    """Raises CallerError naming the allowed values when provider, model or operation is none of them."""
    rows = [row for provider in market.providers for row in provider.offer]
    _check_name("provider", request.provider, ("auto", *(facts.name for facts in market.providers)))
    _check_name("model", request.model, ("auto", *dict.fromkeys(row.model for row in rows)))
    _check_name("operation", request.operation, tuple(dict.fromkeys(row.operation for row in rows)))


def _check_name(argument: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{argument}: {value!r} is not one of {', '.join(allowed)}.")


def _candidates(request: Request, market: Market) -> Iterable[tuple[ProviderFacts, OfferFacts]]:
    return (
        (provider, row)
        for provider in market.providers
        if request.provider in ("auto", provider.name)
        for row in provider.offer
        if row.operation == request.operation and request.model in ("auto", row.model)
    )


def _within_auto(request: Request, offers: Sequence[Offer], market: Market) -> tuple[Offer, ...]:
    """`auto` never picks the preview while something real is configured, nor a provider outside the operator's list."""
    if request.provider != "auto":
        return tuple(offers)
    real = any(market.standings[name].usable for name in market.order if name != LOCAL)
    names = [name for name in market.order if name != LOCAL] if real else [LOCAL]
    return tuple(offer for offer in offers if offer.provider in names)


def _preference(request: Request, offer: Offer, market: Market) -> tuple[float, Decimal, int]:
    names = [facts.name for facts in market.providers]
    place = market.order.index(offer.provider) if offer.provider in market.order else len(names)
    return _distance(request, offer.duration, offer.fps, offer.resolution), offer.cost_usd, place


def _distance(request: Request, duration: Decimal, fps: int, resolution: str) -> float:
    """How far from what was asked, as a sum of relative changes; 0 when nothing changes."""
    pairs = (
        (float(duration), float(request.duration)),
        (fps, request.fps),
        (_short_side(resolution), _short_side(request.resolution)),
    )
    return sum(abs(math.log(got / asked)) for got, asked in pairs)


def _short_side(resolution: str) -> int:
    return int(resolution.removesuffix("p"))


def _offer(request: Request, inputs: Sequence[Input], provider: ProviderFacts, row: OfferFacts) -> Offer | Refusal:
    aspect_ratio = _aspect_ratio(request, inputs, row)
    fit = _fit(request, row)
    reason = _refusal(request, inputs, provider, row, aspect_ratio) or (fit if isinstance(fit, str) else "")
    if reason or isinstance(fit, str):
        return Refusal(provider.name, row.model, reason)
    duration, fps, resolution = fit
    width, height = film_size(resolution, aspect_ratio)
    cost_usd = make_price(row.price, duration, resolution, width * height)
    if cost_usd is None or not _fits_frame(row, width, height):
        return Refusal(provider.name, row.model, f"{width}x{height} ({resolution} at {aspect_ratio}) is not offered.")
    return Offer(
        provider=provider.name,
        model=row.model,
        operation=row.operation,
        endpoint=row.endpoint,
        prompt=request.prompt,
        duration=duration,
        resolution=resolution,
        aspect_ratio=aspect_ratio,
        width=width,
        height=height,
        fps=fps,
        generate_audio=request.generate_audio,
        camera_motion=request.camera_motion,
        cost_usd=cost_usd,
        credits=to_credits(cost_usd, provider.usd_per_credit),
        as_of=row.price.as_of.isoformat(),
        source=row.price.source,
        conversions=_conversions(inputs, provider),
        adjustments=_adjustments(request, inputs, provider, fit),
        whole_credits_usd=from_credits(cost_usd, provider.usd_per_credit),
    )


def _fits_frame(row: OfferFacts, width: int, height: int) -> bool:
    short, long = sorted((width, height))
    return (
        short >= row.min_edge
        and (row.max_short_edge is None or short <= row.max_short_edge)
        and (row.max_long_edge is None or long <= row.max_long_edge)
    )


def _aspect_ratio(request: Request, inputs: Sequence[Input], row: OfferFacts) -> str:
    """The ratio asked for; for `auto` the offered one nearest to the first picture whose size is known."""
    if request.aspect_ratio != "auto":
        return request.aspect_ratio
    sized = next((given for given in inputs if given.width and given.height), None)
    if sized is None:
        return row.aspect_ratio[0]
    shape = sized.width / sized.height
    return min(row.aspect_ratio, key=lambda ratio: abs(math.log(shape / float(Fraction(ratio.replace(":", "/"))))))


def _refusal(
    request: Request, inputs: Sequence[Input], provider: ProviderFacts, row: OfferFacts, aspect_ratio: str
) -> str:
    """Why no size, length or rate could make this row fit; empty when nothing stands in the way."""
    if aspect_ratio not in row.aspect_ratio:
        return f"aspect_ratio {aspect_ratio} is not offered; allowed: {', '.join(row.aspect_ratio)}."
    if request.camera_motion not in row.camera_motion:
        others = ", ".join(word for word in row.camera_motion if word != "none")
        allowed = f"allowed: {others}" if others else "leave it out, and describe it in the prompt"
        return f"camera_motion {request.camera_motion} is not offered; {allowed}."
    if request.generate_audio not in row.generate_audio:
        return f"generate_audio={str(request.generate_audio).lower()} is not offered."
    for given in inputs:
        if given.role not in row.media:
            return f"{given.role} is not accepted."
        rule = provider.inputs["image"]
        may_convert = request.adjust == "nearest" and _smaller_form(given, rule)
        if _too_large(given, rule) and not may_convert:
            return f"{given.role} has {given.size_bytes:,} bytes; at most {rule.max_bytes:,} are accepted."
        if given.format and given.format not in rule.accepts and request.adjust == "never":
            return (
                f"{given.role} is {given.format}; accepted: {', '.join(rule.accepts)}, or adjust=nearest converts it."
            )
    return ""


def _too_large(given: Input, rule: InputRule) -> bool:
    return rule.max_bytes is not None and given.size_bytes > rule.max_bytes


def _smaller_form(given: Input, rule: InputRule) -> bool:
    """Whether another format may bring a picture below the limit."""
    return given.format != "jpeg" and "jpeg" in rule.accepts


def _conversions(inputs: Sequence[Input], provider: ProviderFacts) -> dict[str, str]:
    """By role, the format a medium is converted to before this provider gets it.

    A picture that only its EXIF turns upright is turned in its pixels: no provider says whether it reads EXIF. What is
    drawn on this machine is read as it is.
    """
    rule = provider.inputs.get("image")
    if rule is None or rule.ways == ("file",):
        return {}
    target = "jpeg" if "jpeg" in rule.accepts else "png"
    return {
        given.role: target
        for given in inputs
        if given.format and (given.format not in rule.accepts or given.turned or _too_large(given, rule))
    }


def _fit(request: Request, row: OfferFacts) -> tuple[Decimal, int, str] | str:
    """Duration, fps and resolution: as asked when a limit admits them, the nearest when allowed, else why not."""
    fits = [_nearest(request, limit) for limit in row.limits]
    best = min(fits, key=lambda fit: (_distance(request, *fit), fit[0]))
    if _distance(request, *best) == 0 or request.adjust == "nearest":
        return best
    wrong = [
        f"{name} {value}"
        for name, value, got in zip(("duration", "fps", "resolution"), _asked(request), best, strict=True)
        if value != got
    ]
    return f"{' with '.join(wrong)} is not offered; allowed: {'; or '.join(map(limit_text, row.limits))}."


def _asked(request: Request) -> tuple[Decimal, int, str]:
    return request.duration, request.fps, request.resolution


def _nearest(request: Request, limit: Limit) -> tuple[Decimal, int, str]:
    fps = min(limit.fps, key=lambda rate: (abs(math.log(rate / request.fps)), rate))
    side = _short_side(request.resolution)
    resolution = min(limit.resolution, key=lambda label: (abs(math.log(_short_side(label) / side)), label))
    return limit.duration.nearest(request.duration), fps, resolution


def limit_text(limit: Limit) -> str:
    """One row of a matrix, as callers read it."""
    rates = ", ".join(map(str, limit.fps))
    return f"duration {limit.duration} at {rates} fps in {', '.join(limit.resolution)}"


def _adjustments(
    request: Request, inputs: Sequence[Input], provider: ProviderFacts, fit: tuple[Decimal, int, str]
) -> tuple[Adjustment, ...]:
    changed = [
        Adjustment(name, str(asked), str(got), "server")
        for name, asked, got in zip(("duration", "fps", "resolution"), _asked(request), fit, strict=True)
        if asked != got
    ]
    converted = _conversions(inputs, provider)
    changed += [
        Adjustment(given.role, _form(given), converted[given.role], "server")
        for given in inputs
        if given.role in converted
    ]
    return tuple(changed)


def _form(given: Input) -> str:
    return f"{given.format} turned by EXIF" if given.turned else given.format


def _not_supported(
    request: Request, inputs: Sequence[Input], market: Market, refused: Sequence[Refusal]
) -> CallerError:
    """What is allowed, and the nearest thing that could be ordered, with its price."""
    near = make_offers(replace(request, adjust="nearest"), inputs, market)
    offers = _within_auto(request, near.offers, market)
    names = {offer.provider for offer in offers} or {refusal.provider for refusal in refused}
    told = [refusal for refusal in refused if refusal.provider in names]
    reasons = [f"{refusal.provider} {refusal.model}: {refusal.reason}" for refusal in told[:MOST_REASONS]]
    hint = "estimate_cost and ltx://models show what each provider offers."
    if offers:
        best = offers[0]
        changes = ", ".join(f"{change.field}={change.got}" for change in best.adjustments)
        hint = (
            f"Nearest: {changes} at {best.provider} for {to_text(best.cost_usd)} USD; "
            "ask for that, or pass adjust=nearest."
        )
    return CallerError(ErrorCode.NOT_SUPPORTED, " ".join(reasons) or _no_such_row(request, market), hint)


def _no_such_row(request: Request, market: Market) -> str:
    """A provider and a model that exist, but not together."""
    rows = [
        row
        for facts in market.providers
        if request.provider in ("auto", facts.name)
        for row in facts.offer
        if row.operation == request.operation
    ]
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    who = "any provider" if request.provider == "auto" else request.provider
    return f"model {request.model} is not offered by {who} for {request.operation}; allowed: {models}."
