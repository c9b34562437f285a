"""Colours for unknowns, so that those of one colour can be eliminated together."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from solvers.operators.csr import CSRPattern

__all__ = ["greedy_colouring"]


def greedy_colouring(pattern: CSRPattern) -> Tensor:
    """Colour of every unknown, ``(n,)`` int64 from 0: two unknowns that share an entry of the matrix differ.

    In the order of the numbering each unknown takes the first colour that no neighbour has. On a grid with a 5- or
    7-point stencil these are the red and the black points. Runs on the CPU, once for a pattern.

    Examples
    --------
    >>> from solvers import poisson_operator
    >>> greedy_colouring(poisson_operator((2, 3)).to_csr().pattern)
    tensor([0, 1, 0, 1, 0, 1])
    """
    from pyamg.graph import vertex_coloring

    n, device = pattern.shape[0], pattern.col.device
    if n == 0:
        return torch.zeros(0, dtype=torch.int64, device=device)
    off = (pattern.row != pattern.column).nonzero().squeeze(-1)
    row, column = (index[off].cpu().numpy() for index in (pattern.row, pattern.column))
    graph = scipy.sparse.csr_matrix((np.ones(row.size), (row, column)), shape=(n, n))
    graph = scipy.sparse.csr_matrix(graph + graph.T)
    graph.sort_indices()
    # Maximal independent sets in the order of the numbering, one after the other: the greedy colouring.
    return torch.from_numpy(vertex_coloring(graph, method="MIS").astype(np.int64)).to(device)
