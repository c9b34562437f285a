"""How much memory a result holds until its gradient has been computed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["kept_bytes"]


class _Held:
    """Makes a tensor that autograd keeps an object that the garbage collector knows."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def kept_bytes(loss: Callable[[], Tensor]) -> int:
    """Bytes of all storages that exist while ``loss()`` does and did not before, each counted once.

    What autograd keeps is counted, and what functions of ours keep in their closures.
    """
    gc.collect()
    before = _storages()
    with torch.autograd.graph.saved_tensors_hooks(_Held, lambda held: held.tensor):
        kept: Any = loss()
    gc.collect()
    after = _storages()
    del kept
    return sum(size for place, size in after.items() if place not in before)


def _storages() -> dict[int, int]:
    objects = [o.tensor if type(o) is _Held else o for o in gc.get_objects()]
    tensors = [o for o in objects if issubclass(type(o), Tensor)]
    stored = [part for tensor in tensors for part in _parts(tensor)]
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in stored}


def _parts(tensor: Tensor) -> list[Tensor]:
    """The arrays that a tensor consists of: a sparse one in CSR has three."""
    if tensor.layout == torch.sparse_csr:
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return [tensor] if tensor.layout == torch.strided else []
