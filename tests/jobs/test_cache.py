"""What was brought from a bucket, and what becomes of it when it is too much."""

import os
import time
from pathlib import Path

from ltx_mcp.jobs.bucket.cache import IN_USE_S, Cache


def added(cache: Cache, name: str, *, is_needed: bool, unused_s: float = 0.0) -> Path:
    part, path = cache.folder / "film.part", cache.folder / name
    part.write_bytes(b"x" * 100)
    cache.add(part, path, is_needed=is_needed)
    if unused_s:
        os.utime(path, (time.time() - unused_s,) * 2)
    return path


def test_the_longest_unused_goes_first_and_what_is_in_use_stays_whatever_the_size(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", max_bytes=250)
    cache.prepare()
    old = added(cache, "old", is_needed=True, unused_s=3 * IN_USE_S)
    older = added(cache, "older", is_needed=True, unused_s=4 * IN_USE_S)
    needed = [added(cache, name, is_needed=True) for name in ("a", "b")]
    assert [path.exists() for path in (old, older, *needed)] == [False, False, True, True]
    saved = added(cache, "saved", is_needed=False)
    assert not saved.exists()
    more = added(cache, "c", is_needed=True)
    assert all(path.exists() for path in (*needed, more))


def test_what_is_asked_for_again_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", max_bytes=150)
    cache.prepare()
    first = added(cache, "first", is_needed=False)
    assert cache.use(first)
    added(cache, "second", is_needed=True)
    assert first.exists()
    assert not cache.use(tmp_path / "cache" / "never")
