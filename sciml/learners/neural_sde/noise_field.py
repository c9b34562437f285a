"""The diffusion as the solver sees it: like the drift, counted and checked, with one noise per entry of the state."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.field import Field

__all__ = ["NoiseField"]


@dataclass(frozen=True)
class NoiseField(Field):
    """The diffusion g(t, z) on states ``(G, n)`` at times ``(G,)``; its parameters are those of `Field`."""

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the strength of the noise of every entry, ``(G, n)``.

        Raises
        ------
        IntegrationInputError
            If it has another shape or dtype than the state.
        """
        self.counter.calls += 1
        z = self.state(x)
        strength = self.f(t, z, *self.sample_args, *self.args)
        if strength.shape != z.shape or strength.dtype != z.dtype:
            raise IntegrationInputError(
                f"the diffusion returned {tuple(strength.shape)} {strength.dtype} for states {tuple(z.shape)} "
                f"{z.dtype}; the noise is diagonal: expected one strength per entry of the state, in its dtype "
                "(a constant c: c * torch.ones_like(z); a matrix (B, n, m) of several noises per entry is not "
                "supported: append its noises to the state)."
            )
        return strength.reshape(x.shape)
