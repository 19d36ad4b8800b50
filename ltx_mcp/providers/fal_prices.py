"""fal's price call: docs.fal.ai/platform-apis/v1/models/pricing, read 2026-11-21. It knows units, and no sizes.

Assumed, because the page shows no LTX model: the unit is called second, and the price is that of the smallest size.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.net.wire import Call, Wire
from ltx_mcp.providers.base import CHECK_S, Setup, read_word
from ltx_mcp.providers.table import is_near
from ltx_mcp.providers.verdict import bad_reply, look_failed

PATH = "/v1/models/pricing"
MOST_AMOUNT = 10_000
MOST_SIGNS = 40
"""The longest unit, currency or figure that is read."""


async def ask_prices(setup: Setup, url: str, headers: Mapping[str, str]) -> Mapping[str, UnitPrice]:
    """What fal says of our endpoints, of as many as can be read. Raises ProviderError where that is none."""
    endpoints = tuple(dict.fromkeys(row.endpoint for row in setup.facts.offer))
    call = Call("GET", f"{url}{PATH}", headers, {"endpoint_id": ",".join(endpoints)}, read_s=CHECK_S)
    wire = Wire(setup.facts.name, [setup.key], near=is_near(url))  # this address may be elsewhere than the queue's
    try:
        reply = await wire.ask(call)
    finally:
        await wire.close()
    rows = reply.json.get("prices") if isinstance(reply.json, dict) else None
    if not reply.ok or not isinstance(rows, list):
        raise look_failed(setup, reply)
    told = dict(filter(None, (_read_price(setup, row) for row in rows)))
    if not told:
        raise bad_reply(setup, reply.text)
    return {endpoint: price for endpoint, price in told.items() if endpoint in endpoints}


def _read_price(setup: Setup, row: Any) -> tuple[str, UnitPrice] | None:
    """One row; None for one that cannot be read."""
    if not isinstance(row, dict):
        return None
    endpoint, unit, currency = (read_word(row.get(name)) for name in ("endpoint_id", "unit", "currency"))
    amount = _read_amount(row.get("unit_price"))
    if amount is None or not endpoint or max(len(unit), len(currency)) > MOST_SIGNS:
        return None
    return endpoint, UnitPrice(unit, currency, amount, setup.now())


def _read_amount(value: Any) -> Decimal | None:
    if not isinstance(value, int | float | str) or len(str(value)) > MOST_SIGNS:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MOST_AMOUNT else None
