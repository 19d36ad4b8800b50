"""Prints, as constraints for pip, the lowest version that pyproject declares of everything ltx-mcp itself needs."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in [*project["dependencies"], *extras["heif"], *extras["keyring"], *extras["postgres"]]:
    bound = re.fullmatch(r"([\w.-]+(?:\[\w+\])?)>=([\w.]+)(,<[\w.]+)?", requirement)
    assert bound, f"{requirement} has no lowest version"
    print(f"{bound[1].partition('[')[0]}=={bound[2]}")
