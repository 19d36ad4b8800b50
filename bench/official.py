"""fal's official client, unchanged, doing what bench/fal.py measures: it submits and follows; one JSON line an order.

A process of its own, because the client reads its host from the environment when it is imported.
"""

import json
import sys
import time

import fal_client

ENDPOINT = "fal-ai/ltx-2.3/text-to-video/fast"


def main(orders: int) -> None:
    """Subscribe to one order after the other."""
    submitted: list[float] = []

    def note(request_id: str) -> None:
        submitted.append(time.time())

    for number in range(orders):
        began = time.time()
        fal_client.subscribe(ENDPOINT, arguments={"prompt": f"A lighthouse, take {number}"}, on_enqueue=note)
        print(json.dumps({"began": began, "submitted": submitted[-1], "ended": time.time()}), flush=True)


main(int(sys.argv[1]))
