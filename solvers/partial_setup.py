"""Set up a preconditioner for a batch in which some systems have none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from solvers.errors import ScimlError
from solvers.inverse import Inverse
from solvers.operators.linear_operator import LinearOperator

__all__ = ["set_up_the_others"]

SetUp = Callable[[LinearOperator], Inverse | None]


def set_up_the_others(A: LinearOperator, set_up: SetUp, error: ScimlError) -> tuple[Inverse | None, Tensor]:
    """The inverse of a batch whose set-up failed with `error`, and the systems ``(*batch)`` that made it fail.

    The systems are tried one by one, which costs time only after a failure; in the places of those that fail the
    inverse is another system's.

    Raises
    ------
    ScimlError
        `error`, if no single system fails, or all of them do.
    """
    places = list(product(*map(range, A.batch_shape)))
    failed = torch.zeros(A.batch_shape, dtype=torch.bool, device=A.device)
    for place in places:
        try:
            set_up(_system(A, place))
        except ScimlError:
            failed[place] = True
    if not bool(failed.any()) or bool(failed.all()):
        raise error
    healthy = _system(A, next(place for place in places if not failed[place]))
    return set_up(_substituted(A, failed, healthy)), failed


def _system(A: LinearOperator, place: tuple[int, ...]) -> LinearOperator:
    """One system of the batch."""
    return A.replace(tuple(_expanded(A, p)[place] for p in A.parameters()))


def _substituted(A: LinearOperator, where: Tensor, other: LinearOperator) -> LinearOperator:
    """The batch with another system in the places `where`."""
    replaced = []
    for p, q in zip(A.parameters(), other.parameters(), strict=True):
        flags = where.reshape(*where.shape, *(1,) * A.parameter_ndim(p))
        replaced.append(torch.where(flags, q, _expanded(A, p)))
    return A.replace(tuple(replaced))


def _expanded(A: LinearOperator, parameter: Tensor) -> Tensor:
    """A parameter with all batch axes, detached."""
    own = parameter.shape[parameter.ndim - A.parameter_ndim(parameter) :]
    return parameter.detach().expand(*A.batch_shape, *own)
