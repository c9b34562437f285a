"""What a least-squares method knows of r near x before it has chosen its units: J, or JᵀJ and Jᵀr alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from solvers.nonlinear.linear_model import LinearModel, ScaledRows, column_lengths
from solvers.nonlinear.residual_function import ResidualFunction
from solvers.nonlinear.spectral_model import by_normal_equations

__all__ = ["Linearisation", "RowsLinearised", "SquaresLinearised"]

#: Squares of entries between this number and its inverse neither over- nor underflow, nor do their sums.
_PLAIN = 1e-200


class Linearisation(ABC):
    """r(x + s) ≈ r + J s for a batch of systems.

    Attributes
    ----------
    lengths
        Of J's columns, ``(*batch, n)``; NaN or infinite where J is.
    """

    lengths: Tensor

    @abstractmethod
    def model(self, healthy: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        """The linear problem in units of `scale`, which is D ``(*batch, n)``; zero for systems that are not healthy.

        `healthy` ``(*batch, 1)`` implies finite lengths; `size` is ‖r‖, zero for the others.
        """


class RowsLinearised(Linearisation):
    """With J ``(*batch, m, n)`` itself.

    Parameters
    ----------
    J, r
        Derivative and value.
    build
        ``build(J, r, size, scale)`` is the model.
    """

    def __init__(self, J: Tensor, r: Tensor, build: Callable[[Tensor, Tensor, Tensor, Tensor], LinearModel]) -> None:
        self.J, self.r, self.build, self.lengths = J, r, build, column_lengths(J)

    def model(self, healthy: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        J, r = self.J, self.r
        if not bool(healthy.all()):
            J, r = torch.where(healthy.unsqueeze(-1), J, 0), torch.where(healthy, r, 0)
        return self.build(J, r, size, scale)


class SquaresLinearised(Linearisation):
    """With JᵀJ and Jᵀr, from which J need not be formed; where these over- or underflow it is, in units of D.

    Parameters
    ----------
    function, x, r
        Rows that bring their derivatives, where, and their value there.
    """

    def __init__(self, function: ResidualFunction, x: Tensor, r: Tensor) -> None:
        self.function, self.x, self.r = function, x, r
        self.gram, self.pulled = function.normal_equations(x, r)
        squares = self.gram.diagonal(dim1=-2, dim2=-1)
        self.plain = ((squares > _PLAIN) & (squares < 1 / _PLAIN)).all(-1, keepdim=True)
        self.plain &= self.pulled.isfinite().all(-1, keepdim=True)
        self.lengths = squares.clamp(min=0).sqrt()
        self.J: Tensor | None = None
        if not bool(self.plain.all()):
            self.J = function.jacobian(x)
            self.lengths = torch.where(self.plain, self.lengths, column_lengths(self.J))

    def model(self, healthy: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        gram = self.gram / scale.unsqueeze(-1) / scale.unsqueeze(-2)
        slopes = torch.where(size > 0, self.pulled / size / scale, 0)
        if self.J is not None:
            J, r = torch.where(healthy.unsqueeze(-1), self.J, 0), torch.where(healthy, self.r, 0)
            rows = ScaledRows.of(J, r, size, scale)
            gram = torch.where(self.plain.unsqueeze(-1), gram, rows.matrix.mT @ rows.matrix)
            slopes = torch.where(self.plain, slopes, rows.slopes)
        if not bool(healthy.all()):
            gram, slopes = torch.where(healthy.unsqueeze(-1), gram, 0), torch.where(healthy, slopes, 0)
        lengths = torch.where(healthy, self.lengths / scale, 0)
        return by_normal_equations(gram, slopes, lengths, size, scale)
