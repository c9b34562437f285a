"""What makes generation resumable: parts saved in a folder that belongs to one fingerprint, and a seed for each."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from pde_benchmarks.datasets.atomic import replacing
from pde_benchmarks.errors import DatasetError

__all__ = ["cache_directory", "digest", "open_parts", "require_same", "seed_of"]


def cache_directory() -> Path:
    """Where generated data is kept: ``$SCIML_CACHE``, or ``~/.cache/sciml``."""
    return Path(os.environ.get("SCIML_CACHE") or "~/.cache/sciml").expanduser()


def digest(*values: object) -> str:
    """SHA-256 of JSON-ready values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def seed_of(what: str, seed: int, index: int) -> int:
    """A seed below 2⁶³ for the part ``index``: independent of every other part and of the order they are made in."""
    hashed = hashlib.sha256(f"sciml {what} {seed} {index}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") >> 1


def require_same(place: Path, found: str, wanted: str) -> None:
    """Refuse files made by something else; raises `DatasetError`."""
    if found != wanted:
        raise DatasetError(
            f"{place}: made by another problem, configuration, count, seed or chunk size: "
            "remove it or choose another name."
        )


def open_parts(parts: Path, fingerprint: str) -> None:
    """Start or go on with a folder of parts; raises `DatasetError` if it belongs to another fingerprint."""
    note = parts / "fingerprint"
    if note.exists():
        require_same(parts, note.read_text(), fingerprint)
        return
    with replacing(note) as temporary:
        temporary.write_text(fingerprint)
