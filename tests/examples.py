"""How many examples a property is tried with: few in the fast tests, more where all tests run, and as many as are asked
for by the environment, then others each time. Not a test."""

import os

from hypothesis import HealthCheck, settings

are_all_wanted = False
"""Set before a test file is imported (conftest.py)."""


def examples(setting: str, *, fast: int, every: int) -> settings:
    """The settings of a property; `setting` is the environment variable that asks for more."""
    return settings(
        max_examples=int(os.environ.get(setting, every if are_all_wanted else fast)),
        deadline=None,
        derandomize=setting not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
