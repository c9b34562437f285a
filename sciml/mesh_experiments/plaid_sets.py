"""Training and test samples in a PLAID data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pde_benchmarks.datasets import MeshFolder, read_plaid
from sciml.errors import ConfigurationError

__all__ = ["PlaidChoice", "is_plaid", "plaid_sets", "plaid_tests"]


@dataclass(frozen=True)
class PlaidChoice:
    """What `pde_benchmarks.datasets.read_plaid` must be told beside names, and the split to learn from.

    Examples
    --------
    >>> PlaidChoice.of({"split": "train_500"}).split
    'train_500'
    """

    definition: str | None = None
    split: str | None = None
    base: str | None = None
    time: float | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> PlaidChoice:
        """From plain values; raises ConfigurationError that lists the known keys."""
        from pde_benchmarks.registry import configure

        found: PlaidChoice = configure(cls, settings)
        return found

    def read(self, path: Path, split: str, wanted: Mapping[str, Any]) -> MeshFolder:
        """One split; raises what `read_plaid` raises."""
        return read_plaid(path, split, definition=self.definition, base=self.base, time=self.time, **wanted)


def is_plaid(path: Path) -> bool:
    """Whether a folder is in the layout of PLAID."""
    return (path / "infos.yaml").is_file()


def plaid_sets(path: Path, choice: PlaidChoice, wanted: Mapping[str, Any]) -> dict[str, MeshFolder]:
    """Samples of every split by its name, those to learn from first; other splits for training are left out.

    Parameters
    ----------
    wanted
        Of `read_plaid`: ``fields``, ``cell_fields``, ``inputs`` and ``outputs``. What is None the problem definition
        says for the first split, and the first split for the others.

    Raises
    ------
    ConfigurationError
        There is no split to learn from, or not the one that is named.
    DatasetError
        As of `read_plaid`.
    """
    splits = _splits(path)
    first = choice.split or next((name for name in splits if name.startswith("train")), None)
    if first is None or first not in splits:
        found = ", ".join(splits) or "none"
        raise ConfigurationError(f"{path}: splits are {found}: name the one to learn from by --plaid split=NAME.")
    train = choice.read(path, first, wanted)
    same = {**wanted, "fields": train.point_fields, "inputs": train.input_scalars, "outputs": train.output_scalars}
    others = [name for name in splits if name != first and not name.startswith("train")]
    return {first: train, **{name: choice.read(path, name, same) for name in others}}


def plaid_tests(path: Path, choice: PlaidChoice, wanted: Mapping[str, Any]) -> dict[str, MeshFolder]:
    """Samples of the split that is named, or of all that are not for training, by its name.

    Raises
    ------
    ConfigurationError
        All splits are for training.
    DatasetError
        As of `read_plaid`.
    """
    chosen = [choice.split] if choice.split else [name for name in _splits(path) if not name.startswith("train")]
    if not chosen:
        raise ConfigurationError(f"{path}: splits are {', '.join(_splits(path)) or 'none'}: no one to test on.")
    return {name: choice.read(path, name, wanted) for name in chosen}


def _splits(path: Path) -> Sequence[str]:
    data = path / "data"
    return sorted(entry.name for entry in data.iterdir() if entry.is_dir()) if data.is_dir() else []
