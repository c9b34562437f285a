"""A neural stochastic differential equation as a module: two networks and the settings of their solver."""

from __future__ import annotations

from torch import Tensor, nn

from sciml.learners.neural_ode.controller import Controller, PIController
from sciml.learners.neural_sde.schemes import Interpretation, scheme_named
from sciml.learners.neural_sde.sdesolve import sdesolve
from sciml.learners.neural_sde.solution import SDESolution

__all__ = ["NeuralSDE"]


class NeuralSDE(nn.Module):
    """dz = f(t, z) dt + g(t, z) dW with networks f and g and diagonal noise.

    Parameters
    ----------
    drift, diffusion
        Modules ``(t, z)``, ``t`` ``(B,)`` and ``z`` ``(B, *shape)``, that return the shape of z.
    interpretation
        Whose integral: "ito" or "stratonovich".
    rtol, atol, controller, max_steps, drift_weight
        Settings of `sdesolve`.

    Examples
    --------
    >>> import torch
    >>> class Linear(nn.Linear):
    ...     def forward(self, t, z):
    ...         return super().forward(z)
    >>> model = NeuralSDE(Linear(2, 2), Linear(2, 2))
    >>> solution = model(torch.zeros(5, 2), torch.tensor([0.0, 0.5, 1.0]), seed=0)
    >>> solution.ys.shape
    torch.Size([3, 5, 2])
    """

    def __init__(
        self,
        drift: nn.Module,
        diffusion: nn.Module,
        *,
        interpretation: Interpretation = "ito",
        rtol: float = 1e-2,
        atol: float = 1e-2,
        controller: Controller = PIController(largest=3.0),  # noqa: B008, frozen
        max_steps: int = 10_000,
        drift_weight: float = 1 / 6,
    ) -> None:
        super().__init__()
        scheme_named(None, interpretation)
        self.drift = drift
        self.diffusion = diffusion
        self.interpretation: Interpretation = interpretation
        self.rtol = rtol
        self.atol = atol
        self.controller = controller
        self.max_steps = max_steps
        self.drift_weight = drift_weight

    def forward(self, z0: Tensor, t_eval: Tensor, seed: int | Tensor) -> SDESolution:
        """Return paths from states ``(B, *shape)``, driven by one seed per sample ``(B,)`` or by one for all.

        Raises
        ------
        SolverError
            If a sample did not reach its last time.
        """
        return sdesolve(
            self.drift, self.diffusion, z0, t_eval, seed=seed, interpretation=self.interpretation, rtol=self.rtol,
            atol=self.atol, controller=self.controller, max_steps=self.max_steps,
            drift_weight=self.drift_weight,
        )  # fmt: skip
