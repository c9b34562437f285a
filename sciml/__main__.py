"""``python -m sciml`` is the command ``sciml``."""

import sys

from sciml.cli import main

if __name__ == "__main__":
    sys.exit(main())
