"""Prints an interpreter for each Python that pyproject declares and this machine has: the one that runs this first."""

import glob
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
declared = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if "Python :: 3." in line]
found = {".".join(map(str, sys.version_info[:2])): sys.executable}
for version in declared:
    pyenv = sorted(glob.glob(str(Path.home() / f".pyenv/versions/{version}.*/bin/python")))
    for candidate in filter(None, (shutil.which(f"python{version}"), *pyenv)):
        code = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
        told = subprocess.run([candidate, "-c", code], capture_output=True, encoding="utf-8")
        if told.returncode == 0 and told.stdout.strip() == version:
            found.setdefault(version, candidate)
missing = [version for version in declared if version not in found]
print(f"declared {', '.join(declared)}; not on this machine: {', '.join(missing) or 'none'}", file=sys.stderr)
print("\n".join(found.values()))
