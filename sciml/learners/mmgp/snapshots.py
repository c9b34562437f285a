"""Fields of all samples on the common mesh, a row a sample: on the disk, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["JoinedSnapshots", "SnapshotFile", "SnapshotTable", "Snapshots", "column_blocks", "row_blocks"]

_BYTES_AT_ONCE = 2**26


class Snapshots(Protocol):
    """A table of fields ``(count, size)`` in float64 that is read in parts."""

    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    def rows(self, begin: int, end: int) -> Tensor: ...
    def columns(self, begin: int, end: int) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class SnapshotTable:
    """Snapshots ``(count, size)`` in memory.

    Examples
    --------
    >>> SnapshotTable(torch.eye(3, dtype=torch.float64)).rows(1, 2)
    tensor([[0., 1., 0.]], dtype=torch.float64)
    """

    values: Tensor

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        return self.values.shape[1]

    def rows(self, begin: int, end: int) -> Tensor:
        return self.values[begin:end]

    def columns(self, begin: int, end: int) -> Tensor:
        return self.values[:, begin:end]


@dataclass(frozen=True, eq=False)
class JoinedSnapshots:
    """Tables of equally many samples side by side: the steps of a series as one long field.

    Examples
    --------
    >>> one, two = (SnapshotTable(torch.full((2, 2), v, dtype=torch.float64)) for v in (1.0, 2.0))
    >>> JoinedSnapshots((one, two)).rows(0, 1), JoinedSnapshots((one, two)).columns(1, 3)[0].tolist()
    (tensor([[1., 1., 2., 2.]], dtype=torch.float64), [1.0, 2.0])
    """

    parts: Sequence[Snapshots]

    @property
    def count(self) -> int:
        return self.parts[0].count

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def rows(self, begin: int, end: int) -> Tensor:
        return torch.cat([part.rows(begin, end) for part in self.parts], dim=1)

    def columns(self, begin: int, end: int) -> Tensor:
        found, first = [], 0
        for part in self.parts:
            low, high = max(begin - first, 0), min(end - first, part.size)
            if low < high:
                found.append(part.columns(low, high))
            first += part.size
        return torch.cat(found, dim=1)


class SnapshotFile:
    """Snapshots in a file of plain float64 numbers, written one after the other and read in parts.

    Parameters
    ----------
    path
        A file that does not exist yet; whoever made its folder removes it.
    size
        Numbers in a row.

    Examples
    --------
    >>> table = SnapshotFile(Path("u.bin"), 2)
    >>> for i in range(3):
    ...     table.append(torch.tensor([i, 10.0 * i], dtype=torch.float64))
    >>> table.count, table.columns(1, 2).flatten().tolist()
    (3, [0.0, 10.0, 20.0])
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size, self.count = path, size, 0
        path.touch(exist_ok=False)

    def append(self, row: Tensor) -> None:
        """Add a row ``(size,)``."""
        with self.path.open("ab") as file:
            row.detach().double().contiguous().numpy().tofile(file)
        self.count += 1

    def rows(self, begin: int, end: int) -> Tensor:
        found = np.fromfile(self.path, count=(end - begin) * self.size, offset=8 * begin * self.size)
        return torch.from_numpy(found.reshape(end - begin, self.size))

    def columns(self, begin: int, end: int) -> Tensor:
        found = np.empty((self.count, end - begin))
        with self.path.open("rb") as file:
            for row in range(self.count):
                file.seek(8 * (row * self.size + begin))
                found[row] = np.fromfile(file, count=end - begin)
        return torch.from_numpy(found)


def row_blocks(snapshots: Snapshots, limit: int = _BYTES_AT_ONCE) -> Iterator[tuple[int, int]]:
    """Begin and end of blocks of rows of at most so many bytes.

    Examples
    --------
    >>> list(row_blocks(SnapshotTable(torch.zeros(5, 10)), limit=160))
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, limit // (8 * max(1, snapshots.size)))
    for begin in range(0, snapshots.count, step):
        yield begin, min(begin + step, snapshots.count)


def column_blocks(snapshots: Snapshots, limit: int = _BYTES_AT_ONCE) -> Iterator[tuple[int, int]]:
    """Begin and end of blocks of columns of at most so many bytes."""
    step = max(1, limit // (8 * max(1, snapshots.count)))
    for begin in range(0, snapshots.size, step):
        yield begin, min(begin + step, snapshots.size)
