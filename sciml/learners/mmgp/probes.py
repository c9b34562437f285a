"""A few nodes of every training mesh, at which left-out predictions are compared with the truth itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Probe", "probe_nodes"]

_FEWEST, _IN_ALL = 40, 40_000


@dataclass(frozen=True, eq=False)
class Probe:
    """Nodes of one mesh.

    Attributes
    ----------
    rows
        Of the operator from the common mesh to the mesh, ``(k, N)``.
    values
        Key of a field's variant to its values there ``(k,)``.
    lost
        Key of a field's variant to what the transfer to the common mesh and back loses there ``(k,)``.
    """

    rows: csr_array
    values: dict[str, Tensor]
    lost: dict[str, Tensor]

    def at(self, fields: Tensor) -> Tensor:
        """Fields ``(*batch, N)`` at the nodes, ``(*batch, k)``."""
        flat = fields.reshape(-1, fields.shape[-1]).numpy()
        there = np.ascontiguousarray((self.rows @ flat.T).T)
        return torch.from_numpy(there).reshape(*fields.shape[:-1], there.shape[1])


def probe_nodes(nodes: int, samples: int, number: int, seed: int = 0) -> NDArray[Any]:
    """Which nodes of sample `number` are looked at: a random choice, without order, some 40 000 in all samples.

    Examples
    --------
    >>> len(probe_nodes(nodes=1000, samples=100, number=3)), len(probe_nodes(nodes=10, samples=3, number=0))
    (400, 10)
    """
    count = min(nodes, max(_FEWEST, _IN_ALL // samples))
    return np.sort(np.random.default_rng([seed, number]).choice(nodes, count, replace=False))
