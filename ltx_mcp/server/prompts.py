"""The prompts: directing one LTX video, and the road from a story to a film of shots within a budget.

How to prompt LTX is written here; what can be ordered comes from the catalog, and prices from estimate_cost.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import Field, ValidationError

from ltx_mcp.domain.catalog import OfferSpec
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.quoting import MAX_SHOWN_NAMES, quote, shorten
from ltx_mcp.domain.request import PREVIEW_PROVIDER

MAX_SHOTS = 12
MAX_TEXT_CHARS = 20_000
"""Of an idea or a story."""
MAX_PICTURE_CHARS = 2000
"""Of an image that the prompt repeats: a URL or a path, no data URI."""
MAX_NUMBER_CHARS = 40

RULES = """\
- One paragraph of plain English prose in the present tense, in the order things happen. No lists, tags or headings.
- Only what can be seen and heard. Not "she is nervous": she turns the ring on her finger and glances at the door.
- Begin with shot size, viewpoint and style; then who does what, and how it moves; looks; place; the camera and where it
  ends; light; sound where it happens; the last state.
- One main action for every two or three seconds, one camera move in a shot, or "the camera stays fixed". Brisk verbs
  and surroundings that move on their own keep the pace real.
- One light source with a reason to be there, the same to the end. Say how many people there are and where each stands.
- Sound: the room or weather, the sounds of the actions, music or none. Speech: who by look, what voice, then the exact
  words in quotes, in the language to be heard. Nobody speaks: no verb of speaking, and fill the sound otherwise.
- Say what should be there, not what should not: there is no negative prompt.
- LTX is weak at readable text and logos, crowds doing different things, juggling, jumping, mixed light: avoid them."""

WITH_PICTURE = """\
The picture carries looks, place and light; the prompt carries time. Look at it first. Name its subject briefly and
correctly ("the woman in the grey coat"), then begin at once with what moves, as a verb in the first sentence; a wrong
detail can cause a cut. Say how the camera behaves, how light and air change, and what is heard."""

WITHOUT_SOUND = "Without sound (generate_audio=false) leave speech out, or mouths move silently."

REFINE = """\
A contact sheet shows framing, people, light, text and cuts; not speed between its pictures, flicker, lip sync or sound:
say so instead of guessing. One bad take may be chance, the same fault twice is the prompt.
Change one cause at a time and keep the sentences that worked:
pictures almost equal: put motion into the first sentence; an action missing or half done: fewer actions or more
seconds; face or clothes change: three marks of that person, closer, no full turn; the camera moves and should not: say
that it stays fixed; an unasked cut: "one continuous shot" and fewer looks; letters appear: plain surfaces.
After three rounds change the method: split the shot, or start from a good frame with animate_image. Each take costs:
tell the user what has been spent, and ask before going on."""

SEVERAL_TAKES = """\
Where chance decides, takes=3 orders three versions of the same prompt at once, at three times the price. Look at all
of them, let the user choose, and go on with the chosen one: video=set_…/2 or image=set_…/2#last."""

SEVERAL_SHOTS = """\
{models} can film two to four shots in one clip, cut as the prompt says.
That beats a chain of clips for one place and moment with the same people, as a talk seen from both sides: voices, light
and sound go on across the cuts, it is one order without seams, and a second costs no more. A chain is better where a
shot needs its own length, framing, place or start picture, or may have to be made again alone; one shot is better where
the camera flows, lips stay in one framing, or a start picture must not be left. Give each shot three seconds or more
and a task of its own, and leave camera_motion out. At every cut:
- name it: "A hard cut transitions to …", "The view cuts to …", "The image dissolves into …";
- set up the new shot: size, angle, who is in it, its light if that changes;
- call people and things by the same marks as before ("the woman in the yellow raincoat"), never by "she" alone;
- say which sound goes on, changes or stops.
If no cut comes, make neighbours that no camera move can join: one person close, then the other."""

AMOUNTS = (
    (6, "60 to 110 words, one or two actions, at most 10 spoken words"),
    (8, "80 to 130 words, two or three actions, at most 15 spoken words"),
    (10, "100 to 170 words, three or four actions, at most 20 spoken words"),
    (20, "150 to 200 words in three phases, five to seven actions, 25 to 40 spoken words with pauses"),
)
"""How much fits, by the maximum of seconds."""
AMOUNT_OF_2_5 = "LTX-2.5 wants 150 to 220 words at every length; spend what is left on looks, light and sound."

Rows = Sequence[tuple[str, OfferSpec]]
Text = Annotated[str, Field(description="What the video should show, in any language")]
SecondsText = Annotated[str, Field(description="Seconds of the video, 6 if not given")]
ModelText = Annotated[str, Field(description="A model of ltx://models, or auto")]
PictureText = Annotated[str, Field(description="First frame: URL, path or job_…#last; empty for none")]


def add_prompts(server: MCPServer[Any], catalog: Catalog) -> None:
    """Register the prompts."""

    @server.prompt(title="Direct an LTX video")
    def direct_video(
        idea: Text, duration: SecondsText = "6", model: ModelText = "auto", image: PictureText = ""
    ) -> str:
        """Turn an idea into a prompt that LTX films well, order one take, look at it and refine it."""
        return _direct(catalog, _filled("idea", idea), _number("duration", duration), model, image)

    @server.prompt(title="Plan and join a film of shots")
    def storyboard(
        story: Annotated[str, Field(description="What happens, in any language")],
        shots: Annotated[str, Field(description="How many shots, 3 if not given")] = "3",
        budget_usd: Annotated[str, Field(description="The most all of it may cost, USD; empty: ask the user")] = "",
        duration: Annotated[str, Field(description="Seconds of each shot, 6 if not given")] = "6",
    ) -> str:
        """Plan shots that belong together, price all against a budget, order them in one breath and join them."""
        number = _number("shots", shots)
        if number != int(number) or number > MAX_SHOTS:
            raise _wrong("shots", shots, f"a whole number from 1 to {MAX_SHOTS}")
        budget = _number("budget_usd", budget_usd) if budget_usd.strip() else None
        return _storyboard(catalog, _filled("story", story), int(number), budget, _number("duration", duration))


async def explain_refusals(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """Report an unknown prompt, or wrong arguments, as the caller's mistake. The SDK reports an internal error."""
    try:
        return await call_next(ctx)
    except ValueError as error:
        if ctx.method != "prompts/get":
            raise
        raise MCPError(code=INVALID_PARAMS, message=_refusal_text(error)) from error


def _refusal_text(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ValidationError):
        cause = cause.__cause__
    if cause is None:
        return f"{error}. prompts/list says what there is."
    errors = cause.errors(include_url=False)
    wrong = [f"{shorten('.'.join(map(str, detail['loc'])))}: {detail['msg']}" for detail in errors[:MAX_SHOWN_NAMES]]
    more = f" and {len(errors) - len(wrong):,} more" if len(errors) > len(wrong) else ""
    return f"{'; '.join(wrong)}{more}. prompts/list says what there is."


def _direct(catalog: Catalog, idea: str, seconds: Decimal, model: str, image: str) -> str:
    rows = _rows(catalog, with_picture=bool(image))
    chosen = [(provider, row) for provider, row in rows if model in ("auto", row.model)]
    if not chosen:
        raise _wrong("model", model, f"one of {', '.join(['auto', *dict.fromkeys(row.model for _, row in rows)])}")
    has_2_5 = any("2.5" in row.model for _, row in chosen)
    given = f"image={image!r}" if len(image) <= MAX_PICTURE_CHARS else "the picture as image"
    tool, more = ("animate_image", f", {given}") if image else ("generate_video", "")
    parts = [
        f"Make one LTX video of {_plain(seconds)} seconds of this idea:\n\n{idea}",
        f"Write the prompt for it first. How LTX wants it:\n{RULES}\n{WITHOUT_SOUND}",
        WITH_PICTURE if image else "",
        f"For {_plain(seconds)} seconds: {_amount(seconds)}." + (f" {AMOUNT_OF_2_5}" if has_2_5 else ""),
        f"One shot or several?\n{several}" if (several := _several_shots(chosen, catalog)) else "",
        f"Lengths that can be ordered:\n{_lengths(chosen, catalog)}",
        f"Then:\n1. estimate_cost; tell the user the price, and that provider {PREVIEW_PROVIDER} draws a free preview "
        f"that is not LTX.\n2. {tool} with your prompt, duration={_plain(seconds)}{more}, "
        "max_cost_usd at the most that was told, and a request_key of your own.\n"
        "3. check_job with wait_seconds=45 until it has ended. A late answer is never a reason to order again.\n"
        "4. Look at the contact sheet (or one moment with frame_at), then show the user video_url and what it cost.",
        f"If the take is not right:\n{REFINE}\n{SEVERAL_TAKES}",
    ]
    return "\n\n".join(filter(None, parts))


def _storyboard(catalog: Catalog, story: str, shots: int, budget: Decimal | None, seconds: Decimal) -> str:
    share = None if budget is None else (budget / shots).quantize(Decimal("0.01"), rounding="ROUND_DOWN")
    limit = (
        "Ask the user how much all of it may cost before anything is ordered."
        if budget is None
        else f"All of it, takes that are thrown away included, must cost at most {_plain(budget)} USD: that is "
        f"{share} USD a shot."
    )
    count, rows = "one shot" if shots == 1 else f"{shots} shots", _rows(catalog, with_picture=True)
    several = _several_shots(rows, catalog) if shots > 1 else ""
    parts = [
        f"Plan and film this story as {count} of {_plain(seconds)} seconds:\n\n{story}",
        limit,
        f"One clip or a chain?\n{several}\nThe steps below are for a chain." if several else "",
        "1. Write a bible first: each person in 50 to 80 words (age group, hair, clothes, one unmistakable mark, "
        "voice), the place, time of day and weather, the light, the style. Models remember nothing between calls: "
        "paste it word for word into every prompt.",
        f"2. Write a table: shot, what happens, size and viewpoint, camera, first and last state, sound. Each prompt "
        f"takes {_amount(seconds)}. A shot that goes on from the one before begins with the motion that was under way; "
        "each ends in a pose that can be continued. Keep screen direction and each person's side. Cut to another size "
        "or angle, not to nearly the same one.",
        f"How LTX wants a prompt:\n{RULES}\n\n{WITH_PICTURE}",
        f"Lengths that can be ordered:\n{_lengths(rows, catalog)}",
        *_road(shots, share),
        f"When a take is not right:\n{REFINE}\n{SEVERAL_TAKES}",
    ]
    return "\n\n".join(filter(None, parts))


def _road(shots: int, share: Decimal | None) -> list[str]:
    """From the plan to the film: one price, one yes, one order of everything, one look."""
    cap = "" if share is None else f" Give each max_cost_usd={share}."
    price = (
        f"3. Price all of it: estimate_cost for operation=text_to_video, and for operation=image_to_video with "
        f"count={max(1, shots - 1)}; joining is free. Show the user the table and the sum, with a retake or two in it, "
        "and wait for one yes to everything. If it is too dear: fewer shots, shorter ones, a lower resolution, a "
        "faster model, in this order of harm."
    )
    if shots == 1:
        return [price, f"4. generate_video, with a request_key.{cap}\n5. check_job until it has ended, and look at it."]
    return [
        price,
        "4. Order all shots in one breath: generate_video for a new place or angle, animate_image with "
        "image=job_…#last for one that goes on from the shot before; they wait for each other by themselves. After two "
        "or three links go back to a fresh start: softness adds up, and every later link inherits a fault. Is the look "
        f"itself a risk? Then the first shot alone, and look.{cap} Give each its own request_key, such as "
        "story-shot-2-take-1.",
        "5. In the same breath join_videos with all their job ids in order, request_key=story-film-1: transition=cut "
        "within a scene, fade or crossfade where time passes; audio for music, captions as SRT text, titles.",
        "6. Follow the film alone: check_job with wait_seconds=45 until it has ended, which is at once where a shot "
        "fails. Look at its sheet, and with frame_at where each shot begins and ends.",
        "7. Take again only what failed or is weak, under a new request_key (story-shot-2-take-2), and what was made "
        "from its last frame; then join_videos again with the new job in the old one's place, as story-film-2. The "
        "other shots are not made again.",
        "8. At the end: the film, and what each shot and all cost (ltx://spend/today). reframe_video makes an upright "
        "version; at a terminal, ltx-mcp film takes it away with its shots and a timeline for editors.",
    ]


def _rows(catalog: Catalog, *, with_picture: bool) -> Rows:
    """Providers and their LTX rows of the operation that begins such a shot."""
    operation = "image_to_video" if with_picture else "text_to_video"
    return [
        (facts.name, row)
        for facts in catalog.providers
        if not facts.is_preview
        for row in facts.offer
        if row.operation == operation
    ]


def _several_shots(rows: Rows, catalog: Catalog) -> str:
    """When and how to film several shots in one clip; empty where no model that can be ordered does that."""
    models = [model for model in dict.fromkeys(row.model for _, row in _usable(rows, catalog)) if "2.5" in model]
    return SEVERAL_SHOTS.format(models=" and ".join(models)) if models else ""


def _usable(rows: Rows, catalog: Catalog) -> Rows:
    """Those of usable providers, if there are any."""
    return [(provider, row) for provider, row in rows if catalog.availability[provider].usable] or rows


def _lengths(rows: Rows, catalog: Catalog) -> str:
    """A line for each model of each provider."""
    return "\n".join(
        f"- {provider} {row.model}: {'; '.join(str(limit) for limit in row.limits)}"
        for provider, row in _usable(rows, catalog)
    )


def _amount(seconds: Decimal) -> str:
    return next((text for max_s, text in AMOUNTS if seconds <= max_s), AMOUNTS[-1][1])


def _number(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip() if len(text) <= MAX_NUMBER_CHARS else "")
    except InvalidOperation:
        raise _wrong(name, text, "a number above 0") from None
    if not number.is_finite() or not 0 < number <= 1_000_000:
        raise _wrong(name, text, "a number above 0")
    return number


def _filled(name: str, text: str) -> str:
    if not text.strip():
        raise _wrong(name, text, "some words")
    if len(text) > MAX_TEXT_CHARS:
        raise _wrong(name, text, f"at most {MAX_TEXT_CHARS:,} characters")
    return text.strip()


def _wrong(name: str, given: str, allowed: str) -> MCPError:
    return MCPError(code=INVALID_PARAMS, message=f"{name} {quote(given)} cannot be used; give {allowed}.")


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
