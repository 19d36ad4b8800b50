"""The manifests as hosts read them, by their path below manifests/."""

import json
from typing import Any

from manifests.facts import read_facts
from manifests.make import FOLDER

FACTS = read_facts()


def read(name: str) -> Any:
    """A JSON manifest."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))
