"""fal's price call: docs.fal.ai/platform-apis/v1/models/pricing, read 2026-11-21. It knows units, and no sizes.

Assumed, because the page shows no LTX model: the unit is called second, and the price is that of the smallest size.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.net.provider_client import HttpRequest, ProviderClient
from ltx_mcp.providers.base import CHECK_S, AdapterContext, read_word
from ltx_mcp.providers.catalog_loader import is_near
from ltx_mcp.providers.provider_errors import bad_reply, poll_error

PATH = "/v1/models/pricing"
MAX_AMOUNT = 10_000
MAX_SIGNS = 40
"""The longest unit, currency or figure that is read."""


async def ask_prices(context: AdapterContext, url: str, headers: Mapping[str, str]) -> Mapping[str, UnitPrice]:
    """What fal says of our endpoints, of as many as can be read. Raises ProviderError where that is none."""
    endpoints = tuple(dict.fromkeys(row.endpoint for row in context.facts.offer))
    call = HttpRequest("GET", f"{url}{PATH}", headers, {"endpoint_id": ",".join(endpoints)}, read_s=CHECK_S)
    client = ProviderClient(
        context.facts.name, [context.key], near=is_near(url)
    )  # this address may be elsewhere than the queue's
    try:
        reply = await client.request(call)
    finally:
        await client.close()
    rows = reply.json.get("prices") if isinstance(reply.json, dict) else None
    if not reply.ok or not isinstance(rows, list):
        raise poll_error(context, reply)
    told = dict(filter(None, (_read_price(context, row) for row in rows)))
    if not told:
        raise bad_reply(context, reply.text)
    return {endpoint: price for endpoint, price in told.items() if endpoint in endpoints}


def _read_price(context: AdapterContext, row: Any) -> tuple[str, UnitPrice] | None:
    """One row; None for one that cannot be read."""
    if not isinstance(row, dict):
        return None
    endpoint, unit, currency = (read_word(row.get(name)) for name in ("endpoint_id", "unit", "currency"))
    amount = _read_amount(row.get("unit_price"))
    if amount is None or not endpoint or max(len(unit), len(currency)) > MAX_SIGNS:
        return None
    return endpoint, UnitPrice(unit, currency, amount, context.now())


def _read_amount(value: Any) -> Decimal | None:
    if not isinstance(value, int | float | str) or len(str(value)) > MAX_SIGNS:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MAX_AMOUNT else None
