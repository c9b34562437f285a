"""Which backend runs a kernel: the fastest that supports the tensor, unless the caller names one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from solvers.errors import MissingPackageError
from solvers.kernels.reference import Reference

__all__ = ["kernels_for", "use_backend"]

_BACKENDS = {"reference": "Reference", "cpu": "CPU", "gpu": "GPU"}
_chosen: ContextVar[str | None] = ContextVar("solvers_backend", default=None)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run all kernels in this block on one backend: "reference" (plain torch), "cpu" (Numba) or "gpu" (Triton).

    Raises
    ------
    ValueError, MissingPackageError
        There is no such backend, or its package is not installed.

    Examples
    --------
    >>> with use_backend("reference"):
    ...     pass
    """
    if name not in _BACKENDS:
        raise ValueError(f"backend {name!r}: expected one of {', '.join(_BACKENDS)}")
    if name == "gpu" and not _has_triton():
        raise MissingPackageError("backend 'gpu' needs the package triton: pip install 'sciml-pde[gpu]'")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def kernels_for(tensor: Tensor) -> Reference:
    """The backend for this tensor. Numba and Triton are imported on first use. No gradient flows through any kernel."""
    # Only the reference knows complex numbers; under torch.func transforms there is no memory to hand to other loops.
    if tensor.dtype.is_complex or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return _backend("reference")
    return _backend(_chosen.get() or _fastest(tensor.device.type))


def _fastest(device: str) -> str:
    if device == "cpu":
        return "cpu"
    return "gpu" if device == "cuda" and _has_triton() else "reference"


@cache
def _backend(name: str) -> Reference:
    backend: Reference = getattr(import_module(f"solvers.kernels.{name}"), _BACKENDS[name])()
    return backend


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
