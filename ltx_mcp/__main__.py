"""Where the program starts."""

import sys

from ltx_mcp.launch import tidy


def main() -> None:
    """The console script."""
    tidy()
    if sys.argv[1:] == ["--version"]:
        from ltx_mcp import __version__

        print(f"ltx-mcp {__version__}")
        return
    from ltx_mcp.cli.main import start

    start()


if __name__ == "__main__":
    main()
