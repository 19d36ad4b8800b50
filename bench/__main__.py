"""Runs the measurements named as arguments, or all of them, and prints a table each."""

import sys
import time
from importlib import import_module

NAMES = ("start", "list", "memory", "watch", "render", "join", "order", "fal", "hostile", "looking", "callers", "scale")


def main(asked: list[str]) -> None:
    """Measure one after the other, so that none disturbs another."""
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise SystemExit(f"There is no measurement {', '.join(unknown)}; there are {', '.join(NAMES)}.")
    began = time.monotonic()
    for name in asked or NAMES:
        print(import_module(f"bench.{name}").measure().text(), flush=True)
    print(f"All of it took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main(sys.argv[1:])
