"""Which backend runs a kernel: the fastest that supports the tensor, unless the caller names one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from solvers.kernels.structures import Levels, Links

__all__ = ["Kernels", "kernels_for", "use_backend"]

_BACKENDS = ("reference", "cpu")
_chosen: ContextVar[str | None] = ContextVar("solvers_backend", default=None)


class Kernels(Protocol):
    """What a backend offers; `solvers.kernels.reference` says what each function means."""

    def apply(self, links: Links, u: Tensor) -> Tensor: ...
    def correct(self, levels: Levels, r: Tensor) -> Tensor: ...
    def full_multigrid(self, levels: Levels, b: Tensor, cycles: int) -> Tensor: ...


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run all kernels in this block on one backend: "reference" (plain torch) or "cpu" (Numba).

    Examples
    --------
    >>> with use_backend("reference"):
    ...     pass
    """
    if name not in _BACKENDS:
        raise ValueError(f"backend {name!r}: expected one of {', '.join(_BACKENDS)}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def kernels_for(tensor: Tensor) -> Kernels:
    """The backend for this tensor. Numba is imported on first use. No gradient flows through any kernel."""
    name = _chosen.get()
    if name is None:
        plain = tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)
        # Under torch.func transforms there is no memory to hand to compiled loops.
        name = "cpu" if plain and not torch._C._functorch.is_functorch_wrapped_tensor(tensor) else "reference"
    return cast(Kernels, import_module(f"solvers.kernels.{name}"))
