"""Sparse LU factors on CUDA devices, by NVIDIA's cuDSS."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from solvers.direct.direct_solver import DirectSolver, Factor, is_numerically_singular, kernel_shift, spectral_bound
from solvers.direct.entries import csr_of
from solvers.errors import DeviceError, MissingPackageError
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.status import Status

__all__ = ["CuDSS"]


@dataclass(frozen=True)
class CuDSS(DirectSolver):
    """Sparse LU on a CUDA device through nvmath-python's ``sparse.advanced.DirectSolver``.

    A batch is a loop over its systems, each planned and factored once; later solves reuse the factor. nvmath-python
    offers no transposed solve: the adjoint of an unsymmetric operator factors Aᴴ when it is first asked for.

    Parameters
    ----------
    rtol, refinements
        As in `DirectSolver`.

    Raises
    ------
    MissingPackageError
        nvmath-python is not installed.
    DeviceError
        The operator is not on a CUDA device.
    TagError
        The operator is not square, or has no stored entries (``to_csr()``).
    """

    def factor(self, A: LinearOperator) -> CuDSSFactor:
        nvmath = _nvmath()
        if A.device.type != "cuda":
            raise DeviceError(f"{A!r} is on {A.device}: CuDSS runs on CUDA devices; use SuperLU on the CPU")
        return _factored(nvmath, csr_of(A, "CuDSS"))


class CuDSSFactor(Factor):
    """One planned and factored solver for every system."""

    def __init__(self, nvmath: ModuleType, matrix: CSROperator, systems: list[Any], status: Tensor, size: Tensor):
        super().__init__(status, size, "spd" in matrix.tags and not bool(status.any()))
        self.nvmath, self.matrix, self.systems = nvmath, matrix, systems

    @cached_property
    def _adjoint(self) -> CuDSSFactor:
        return _factored(self.nvmath, csr_of(self.matrix.H, "CuDSS"))

    @property
    def H(self) -> CuDSSFactor:
        return self if "symmetric" in self.matrix.tags else self._adjoint

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        own, n = self.status.shape, r.shape[-1]
        batch = torch.broadcast_shapes(own, r.shape[:-1])
        vectors = r.resolve_conj().expand(*batch, n).reshape(batch.numel(), n)
        owner = torch.arange(len(self.systems)).reshape(own).expand(batch).reshape(-1).tolist()
        return torch.stack([self._solved(i, v) for i, v in zip(owner, vectors, strict=True)]).reshape(*batch, n)

    def _solved(self, system: int, r: Tensor) -> Tensor:
        solver = self.systems[system]
        if solver is None:
            return torch.full_like(r, torch.nan)
        solver.reset_operands(b=r.contiguous())
        solution: Tensor = solver.solve()
        return solution


def _factored(nvmath: ModuleType, matrix: CSROperator) -> CuDSSFactor:
    n = matrix.shape[0]
    absolute = matrix.replace((matrix.values.abs(),))
    ones = torch.ones(*matrix.batch_shape, n, dtype=absolute.dtype, device=matrix.device)
    size = spectral_bound(absolute.mv(ones), absolute.rmv(ones))
    values = matrix.values.detach().resolve_conj().reshape(matrix.batch_shape.numel(), matrix.values.shape[-1])
    status = torch.where(matrix.is_finite(), Status.CONVERGED, Status.NONFINITE_INPUT).to(torch.int8)
    fine = (status == Status.CONVERGED).reshape(-1).tolist()
    systems = [_system(nvmath, matrix, v) if good else None for v, good in zip(values, fine, strict=True)]
    factor = CuDSSFactor(nvmath, matrix, systems, status, size)
    singular = is_numerically_singular(factor, absolute.mv, ones.to(matrix.dtype)) & (status == Status.CONVERGED)
    on_diagonal = matrix.pattern.row == matrix.pattern.column
    for i in singular.reshape(-1).nonzero().reshape(-1).tolist():
        # Singular systems keep their pattern, so that a missing diagonal entry stays missing.
        systems[i] = _system(nvmath, matrix, values[i] + kernel_shift(size).reshape(-1)[i] * on_diagonal)
    status = torch.where(singular, Status.SINGULAR, status).to(torch.int8)
    return CuDSSFactor(nvmath, matrix, systems, status, size)


def _system(nvmath: ModuleType, matrix: CSROperator, values: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        pattern = matrix.pattern
        stored = torch.sparse_csr_tensor(pattern.crow, pattern.col, values, matrix.shape, check_invariants=False)
    solver = nvmath.sparse.advanced.DirectSolver(stored, values.new_zeros(matrix.shape[0]))
    solver.plan()
    solver.factorize()
    return solver


def _nvmath() -> ModuleType:
    try:
        import nvmath
        import nvmath.sparse.advanced
    except ImportError as error:
        raise MissingPackageError(
            f"CuDSS needs the package nvmath-python ({error}): pip install 'nvmath-python[cu12]', or use SuperLU on "
            "the CPU"
        ) from error
    return nvmath
