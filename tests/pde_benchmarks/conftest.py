"""Lets the tests of this folder import `potential_flows` (pytest's importlib mode leaves the path alone)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
