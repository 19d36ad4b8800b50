"""`python -m tests.conversations`: play all fourteen and renew their transcripts in docs/agents.md."""

import tempfile
from pathlib import Path

import anyio

from tests.conversations.page import PAGE, renewed
from tests.conversations.play import NAMES, play
from tests.conversations.stage import emulated


def main() -> None:
    """Renew the page in place."""
    transcripts = {}
    with tempfile.TemporaryDirectory() as folder, emulated(Path(folder) / "films") as providers:
        for name in NAMES:
            transcripts[name] = anyio.run(play, name, Path(folder) / name, providers)
            print(f"played {name}", flush=True)
    text = PAGE.read_text(encoding="utf-8")
    if (new := renewed(text, transcripts)) != text:
        PAGE.write_text(new, encoding="utf-8")
        print(f"renewed {PAGE.name}")


if __name__ == "__main__":
    main()
