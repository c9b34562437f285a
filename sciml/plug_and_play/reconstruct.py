"""From data to fields: minimise data fidelity plus prior."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.errors import ObservationError
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.method import Method
from sciml.plug_and_play.priors import Prior
from sciml.plug_and_play.proximal_gradient import ProximalGradient
from sciml.plug_and_play.reconstruction import Reconstruction

__all__ = ["reconstruct"]


@torch.no_grad()
def reconstruct(
    fidelity: DataFidelity,
    prior: Prior,
    weight: float | Tensor,
    method: Method | None = None,
    *,
    start: Tensor | None = None,
    throw: bool = True,
) -> Reconstruction:
    """Find critical points of h(x) + weight · R(x), one for each sample.

    Parameters
    ----------
    fidelity
        h: operator, data and noise.
    prior
        R. That of a network trained to remove noise of standard deviation s is about −s² log p, so that the weight
        1/s² makes maxima a posteriori of the minima where h is a negative log-likelihood.
    weight
        Of the prior, one number or one a sample ``(B,)``.
    method
        `ProximalGradient()` by default, which is within its theorem for every weight and every linear operator;
        `AcceleratedProximalGradient`, `ADMM`, `DouglasRachford`; for nonlinear operators `PreimageDescent` (learned
        priors) and `Backtracking`.
    start
        ``(B, channels, *grid)``; the back-projected data by default.
    throw
        Raise if a sample has not converged. False: read ``status``.

    Raises
    ------
    ConfigurationError
        The method's step is outside of its range (the message says which it is), or the method does not serve the
        operator or the prior.
    ObservationError
        The start has another shape, dtype or device than the data ask for, or is not finite.
    InferenceError
        A sample has not converged and `throw` is set; the result is attached.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators import from_functions
    >>> from sciml.plug_and_play import GaussianFidelity, SoftThreshold
    >>> a = torch.tensor([1.0, 0.5, 0.1])
    >>> scale = from_functions(lambda x: a * x, lambda y: a * y, input_shape=(3,), output_shape=(3,), norm=1.0)
    >>> found = reconstruct(GaussianFidelity(scale, torch.tensor([[2.0, 1.0, 0.1]])), SoftThreshold(), weight=0.2)
    >>> [round(value, 4) for value in found.x[0].tolist()], found.within_theorem
    ([1.8, 1.2, 0.0], True)
    """
    x = fidelity.first_guess() if start is None else _checked(start, fidelity)
    found = (method or ProximalGradient()).run(fidelity, prior, weight, x)
    return found.raise_if_failed() if throw else found


def _checked(start: Tensor, fidelity: DataFidelity) -> Tensor:
    expected = (len(fidelity.data), *fidelity.operator.input_shape)
    if tuple(start.shape) != expected or start.dtype != fidelity.data.dtype or start.device != fidelity.data.device:
        raise ObservationError(
            f"start: shape {tuple(start.shape)}, {start.dtype}, {start.device}; the data ask for {expected}, "
            f"{fidelity.data.dtype}, {fidelity.data.device}."
        )
    if not bool(start.isfinite().all()):
        raise ObservationError("start holds values that are not finite; leave it out for the back-projected data.")
    return start
