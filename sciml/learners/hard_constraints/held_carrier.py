"""A warning where derivatives would have to pass through a residual's carrier, which is held fixed."""

from __future__ import annotations

import warnings

import torch

from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["warn_of_held_carrier"]


def warn_of_held_carrier(residual: TermwiseResidual) -> None:
    """Warn if a tensor on which the carrier depends asks for a gradient: it gets an incomplete one."""
    held = residual.carrier_parameters
    asked = [i for i, tensor in enumerate(held) if tensor.requires_grad]
    if asked and torch.is_grad_enabled():
        warnings.warn(
            f"constraint: {type(residual).__name__}.carrier_parameters {asked} ask for a gradient; the error norm "
            "holds the carrier that depends on them fixed, so that it is incomplete and may have the wrong sign: use "
            "PlainNorm() for gradients with respect to them, otherwise detach them",
            RuntimeWarning,
            stacklevel=2,
        )
