"""The trained coefficients that come with this package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Literal

from sciml.errors import LearnerError
from sciml.learners.conjugate_directions.coefficients import ScalarCoefficients

__all__ = ["default_record", "default_scalars"]

SCHEMA = 1


def default_scalars(dimension: Literal[2, 3]) -> ScalarCoefficients:
    """The coefficients that ``examples/train_pressure_cycle.py`` found on random obstacles, float32.

    Raises
    ------
    LearnerError
        There are none for this dimension.

    Examples
    --------
    >>> default_scalars(3).outputs.shape
    torch.Size([3, 8])
    """
    return ScalarCoefficients.imported(default_record(dimension)["levels"]).float()


def default_record(dimension: int) -> dict[str, Any]:
    """What the file of default coefficients says: the coefficients level by level, and how they were trained."""
    path = files(__package__) / f"coefficients_{dimension}d.json"
    if not path.is_file():
        raise LearnerError(f"default coefficients in {dimension} dimensions: there are some in 2 and 3.")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record.get("schema") != SCHEMA or record.get("dimension") != dimension:
        raise LearnerError(f"{path}: schema {record.get('schema')}, this version reads {SCHEMA}: install it again.")
    return record
