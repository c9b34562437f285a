"""Which samples a step sees: a function of seed and step alone, so that nothing has to be stored to go on."""

from __future__ import annotations

import zlib

import torch
from torch import Generator, Tensor

from sciml.errors import ConfigurationError

__all__ = ["Batches", "generator_for"]


def generator_for(*words: int | str) -> Generator:
    """A generator on the CPU seeded by ``words``, independent of those of other words."""
    text = "/".join(map(str, words)).encode()
    return Generator().manual_seed(zlib.crc32(text) << 31 ^ zlib.crc32(text[::-1]))


class Batches:
    """Batches of equal size from a new permutation in every epoch; what is left of an epoch is dropped.

    Every process takes its share of the same global batch, so that any number of processes takes the same steps.

    Parameters
    ----------
    count
        Number of samples.
    size
        Samples per global batch (all samples where there are fewer).
    seed
        Seed of the permutations.
    process, processes
        This process and how many there are.

    Raises
    ------
    ConfigurationError
        If the batch cannot be divided evenly among the processes.

    Examples
    --------
    >>> batches = Batches(count=10, size=4, seed=0)
    >>> epoch = torch.cat([batches.rows(step) for step in range(2)])
    >>> len(epoch), len(epoch.unique())
    (8, 8)
    """

    def __init__(self, count: int, size: int, seed: int, process: int = 0, processes: int = 1) -> None:
        if count == 0:
            raise ConfigurationError("there are no training samples: give a data set with at least one.")
        self.size = min(size, count - count % processes)
        if self.size == 0 or self.size % processes:
            raise ConfigurationError(
                f"batch_size = {self.size} of {count} samples cannot be shared evenly by {processes} processes: "
                f"use a multiple of {processes}."
            )
        self._count, self._seed = count, seed
        share = self.size // processes
        self._share = slice(process * share, (process + 1) * share)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def rows(self, step: int) -> Tensor:
        """Indices of this process's samples at ``step``, int64."""
        epoch, position = divmod(step, self._count // self.size)
        if epoch != self._epoch:
            generator = generator_for("permutation", self._seed, epoch)
            self._epoch, self._order = epoch, torch.randperm(self._count, generator=generator)
        return self._order[position * self.size :][: self.size][self._share]
