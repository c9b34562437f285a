"""An experiment in a YAML file, as ``sciml run --config`` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["read_experiment"]


def read_experiment(path: Path | None) -> dict[str, Any]:
    """An experiment's values from YAML; a run's ``config.yaml`` has them in its section ``experiment``.

    Without a file there are none.

    Raises
    ------
    RunError
        The file cannot be read, or a later version wrote it.
    """
    from sciml.runs import read_yaml, require_known_schema

    if path is None:
        return {}
    values = read_yaml(path)
    if isinstance(values.get("schema"), int):
        require_known_schema(path, values["schema"])
    inner = values.get("experiment")
    return dict(inner) if isinstance(inner, dict) else values
