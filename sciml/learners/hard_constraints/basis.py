"""Basis functions of an expansion: a network's, a problem's closed forms, and the envelope that multiplies both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sciml.errors import LearnerError
from sciml.learners.hard_constraints.termwise_fields import TermwiseFields

__all__ = ["ClosedForms", "LearnedBasis", "LearnedWithClosedForms"]


@dataclass(frozen=True)
class LearnedBasis:
    """envelope · b, b of a network.

    Parameters
    ----------
    fields
        The problem.
    functions
        N.
    """

    fields: TermwiseFields
    functions: int

    def __call__(self, module: nn.Module, arrays: dict[str, Tensor]) -> Tensor:
        """``(B, N, *shape)``, float64.

        Raises
        ------
        LearnerError
            If the network gives another number of functions, or another grid.
        """
        coordinates = arrays["coordinates"]
        learned = module(coordinates)
        expected = (len(coordinates), self.functions, *coordinates.shape[2:])
        if learned.shape != expected:
            raise LearnerError(
                f"the network answers with shape {tuple(learned.shape)}, expected {expected}: give a network with "
                f"{self.functions} outputs in every point, or set functions to what it has."
            )
        envelope = self.fields.envelope(self.fields.inputs_of(arrays))
        return learned.to(torch.float64) * envelope.unsqueeze(1)


@dataclass(frozen=True)
class ClosedForms:
    """envelope · the problem's closed forms, as prepared in the arrays; no network is asked."""

    fields: TermwiseFields

    def __call__(self, module: nn.Module, arrays: dict[str, Tensor]) -> Tensor:
        """``(B, F, *shape)``, float64."""
        envelope = self.fields.envelope(self.fields.inputs_of(arrays))
        return arrays["closed_forms"] * envelope.unsqueeze(1)


@dataclass(frozen=True)
class LearnedWithClosedForms:
    """Both, the learned ones first."""

    learned: LearnedBasis
    fixed: ClosedForms

    def __call__(self, module: nn.Module, arrays: dict[str, Tensor]) -> Tensor:
        """``(B, N + F, *shape)``, float64; raises as `LearnedBasis`."""
        return torch.cat([self.learned(module, arrays), self.fixed(module, arrays)], 1)
