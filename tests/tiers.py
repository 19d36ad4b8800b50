"""The slow tests: which files they are, what each covers and costs (tests/slow.toml), and which of them a change is to
be tried with. `make test` leaves them out, `make test-all` has them all. Not a test.

`python -m tests.tiers` prints those that `.ci/run` adds for what changed since BASE, and says on stderr what it left.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("slow.toml")
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SETTLED = "12 hours ago"


@dataclass(frozen=True)
class Slow:
    """A slow file: its path, the seconds of CPU it takes with all that it starts, the folders and files it covers, and
    the programs it needs that a Python environment does not bring along."""

    path: str
    cpu_s: int
    covers: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def covered(self, changed: Iterable[str]) -> int:
        """How many of the changed files it covers. It covers itself, and the helpers that lie beside it."""
        return sum(path == self.path or self._is_helper(path) or _is_below(path, self.covers) for path in changed)

    def _is_helper(self, path: str) -> bool:
        beside = PurePosixPath(path).parent == PurePosixPath(self.path).parent
        return beside and not PurePosixPath(path).name.startswith("test_")


@dataclass(frozen=True)
class Table:
    """All slow files, the CPU seconds that `.ci/run` spends on them, and what all of them cover."""

    files: tuple[Slow, ...]
    budget_cpu_s: int
    covered_by_all: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """What of the files that cover a change fits the budget, and what is left out; the weightiest first."""

    chosen: tuple[Slow, ...]
    left: tuple[Slow, ...]


def read_table(path: Path = TABLE) -> Table:
    """The table as it stands in its file."""
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    files = (
        Slow(name, told["cpu_s"], tuple(told["covers"]), tuple(told.get("needs", ())))
        for name, told in read["slow"].items()
    )
    return Table(tuple(files), read["budget_cpu_s"], tuple(read["covered_by_all"]))


@cache
def _slow_paths() -> frozenset[str]:
    return frozenset(each.path for each in read_table().files)


def is_left_out(path: Path, root: Path, folder: Path, named: Iterable[str]) -> bool:
    """Whether a run in `folder` that was given these names passes over a file, because it is slow and not named."""
    if not path.is_relative_to(root) or path.relative_to(root).as_posix() not in _slow_paths():
        return False
    return all((folder / name.partition("::")[0]).resolve() != path.resolve() for name in named)


def choose(changed: Collection[str], table: Table) -> Choice:
    """What covers the change: slow files that were changed themselves come first, then those that cover most of the
    changed files, then those with the most work. Whatever still fits the budget is taken."""
    if any(_is_below(path, table.covered_by_all) for path in changed):
        weighed = [(len(changed), each) for each in table.files]
    else:
        weighed = [(covered, each) for each in table.files if (covered := each.covered(changed))]
    weighed.sort(key=lambda one: (one[1].path not in changed, -one[0], -one[1].cpu_s, one[1].path))
    chosen: list[Slow] = []
    left: list[Slow] = []
    spent = 0
    for _, each in weighed:
        fits = spent + each.cpu_s <= table.budget_cpu_s
        spent += each.cpu_s if fits else 0
        (chosen if fits else left).append(each)
    return Choice(tuple(chosen), tuple(left))


def find_base(root: Path, base: str = "") -> str:
    """The commit that a change is measured from: the one that is named, else the newest that is older than twelve
    hours, else nothing at all. ValueError where there is no such commit."""
    if base:
        return _git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    return _git(root, "rev-list", "-1", f"--before={SETTLED}", "HEAD") or EMPTY_TREE


def find_changed(root: Path, base: str) -> set[str]:
    """Every file that is not as it was at the base, committed or not; one that was renamed under both names."""
    differing = _git(root, "diff", "--name-only", "--no-renames", "-z", base, "--")
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return {path for path in (differing + new).split("\0") if path}


def _git(root: Path, *words: str) -> str:
    ended = subprocess.run(["git", "-C", str(root), *words], capture_output=True, encoding="utf-8")
    if ended.returncode:
        raise ValueError(f"git {' '.join(words)}: {ended.stderr.strip() or 'there is no such commit'}")
    return ended.stdout.strip("\n")


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def weigh(path: str) -> float:
    """The CPU seconds of a file that is run alone, with every process that is waited for."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "pytest", path], cwd=ROOT, check=True, stdout=sys.stderr)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """What `.ci/run` asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--base", action="store_true", help="the commit that the change is measured from")
    asked.add_argument("--needs", nargs="*", metavar="FILE", help="the programs that these need, or all slow files")
    asked.add_argument("--weigh", nargs="*", metavar="FILE", help="run these, or all slow files, and show their cost")
    options = parser.parse_args()
    table = read_table()
    base = os.environ.get("BASE", "")
    if options.base:
        print(find_base(ROOT, base))
    elif options.needs is not None:
        needed = {
            need for each in table.files for need in each.needs if each.path in options.needs or not options.needs
        }
        print_lines(sorted(needed))
    elif options.weigh is not None:
        for path in options.weigh or [each.path for each in table.files]:
            print(f"{path} {weigh(path):.0f}")
    else:
        found = find_base(ROOT, base)
        choice = choose(find_changed(ROOT, found), table)
        print(tell(found, choice, table), file=sys.stderr)
        print_lines(each.path for each in choice.chosen)


def print_lines(lines: Iterable[str]) -> None:
    """One a line; of none there is no line either."""
    print("".join(f"{line}\n" for line in lines), end="")


def tell(base: str, choice: Choice, table: Table) -> str:
    """The choice in words."""
    spent = sum(each.cpu_s for each in choice.chosen)
    first = f"Slow tests for what changed since {base[:12]}: {spent} of {table.budget_cpu_s} s of CPU."
    lines = [f"  {each.path} ({each.cpu_s} s)" for each in choice.chosen]
    left = [f"  left to --all: {each.path} ({each.cpu_s} s)" for each in choice.left]
    return "\n".join([first, *lines, *left])


if __name__ == "__main__":
    main()
