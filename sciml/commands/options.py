"""Types of options that several commands share; nothing heavy is imported for them."""

from __future__ import annotations

from typing import Literal

__all__ = ["Alignment"]

Alignment = Literal["cell", "vertex", "interior", "left"]
