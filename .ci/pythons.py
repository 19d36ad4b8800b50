"""Prints an interpreter for each Python to test with: the one that runs this first, then every other patch version of
those that pyproject declares which this machine has, the distribution's own included.
"""

import glob
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"


def version_of(interpreter: str) -> str:
    """Such as 3.11.2; empty where it does not run."""
    told = subprocess.run([interpreter, "-c", VERSION], capture_output=True, encoding="utf-8")
    return told.stdout.strip() if told.returncode == 0 else ""


project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
declared = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if "Python :: 3." in line]
candidates = ["/usr/bin/python3"]
for minor in declared:
    on_path = shutil.which(f"python{minor}")
    candidates += [on_path] if on_path else []
    candidates += [
        f"/usr/bin/python{minor}",
        *sorted(glob.glob(str(Path.home() / f".pyenv/versions/{minor}.*/bin/python"))),
    ]
found = {version_of(sys.executable): sys.executable}
for candidate in candidates:
    if Path(candidate).exists() and (version := version_of(candidate)).rpartition(".")[0] in declared:
        found.setdefault(version, candidate)
missing = [minor for minor in declared if not any(version.rpartition(".")[0] == minor for version in found)]
print(f"declared {', '.join(declared)}; not on this machine: {', '.join(missing) or 'none'}", file=sys.stderr)
print("\n".join(found.values()))
