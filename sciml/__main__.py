"""``python -m sciml`` is the command ``sciml``."""

from __future__ import annotations

import sys

from sciml.interruption import Attention

__all__ = ["main"]


def main() -> int:
    """Run the command line, attentive to Ctrl-C before anything heavy is imported."""
    attention = Attention(sys.argv[1:])
    with attention.paid():
        from sciml.cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
