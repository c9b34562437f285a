"""The symmetries of the square and the cube, drawn at random to multiply the training data of isotropic problems."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["random_symmetry"]


def random_symmetry(fields: dict[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """Apply one random permutation of equal axes and random flips to all fields ``(batch, channel, *grid)`` alike.

    Uniform over the group: 2 elements in one dimension, 8 in two, 48 in three (the axes keep their places if they
    differ in length).
    """
    first = next(iter(fields.values()))
    dim = first.ndim - 2
    flips = [axis + 2 for axis in range(dim) if bool(torch.randint(2, (1,), generator=generator))]
    order = torch.randperm(dim, generator=generator).tolist()
    if len(set(first.shape[2:])) > 1:
        order = list(range(dim))
    places = [0, 1, *(axis + 2 for axis in order)]
    return {
        name: field.flip(flips).permute(places) if flips else field.permute(places) for name, field in fields.items()
    }
