"""Lets the tests of this folder import `solver_cases` (pytest's importlib mode leaves the path alone)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
