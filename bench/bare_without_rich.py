"""The bare server where the SDK does not find rich, which it would import for its log handler: the fair floor."""

import sys

sys.modules["rich"] = None  # type: ignore[assignment]

from bench.bare import server  # noqa: E402 (rich must be out of reach first)

if __name__ == "__main__":
    server.run("stdio")
