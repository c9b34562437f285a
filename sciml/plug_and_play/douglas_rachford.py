"""Douglas–Rachford splitting, which is ADMM in other variables."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.admm import ADMM
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.method import Method
from sciml.plug_and_play.priors import Prior
from sciml.plug_and_play.reconstruction import Reconstruction

__all__ = ["DouglasRachford"]


@dataclass(frozen=True)
class DouglasRachford(Method):
    """x ← prox_{γh}(t), z ← prox_{γ weight R}(2x − t), t ← t + z − x, which minimises h + weight · R.

    The same iterates as those of `ADMM` with ρ = 1/γ, from which it is computed: with u ← u + x − z the point is
    t = z − u before the step on the data, and 2x − t = x + u after it (Themelis & Patrinos 2020, section 5). So
    γ < 1/L is the condition of the theorem, and the result is z.

    Parameters
    ----------
    tolerance, max_iterations
        As in `ADMM`.
    step
        γ. None: 1/weight, with which the prior's own proximal operator is used.
    check
        Refuse steps outside of the theorem.
    """

    step: float | None = None
    check: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None and not 0 < self.step < float("inf"):
            raise ConfigurationError(f"step = {self.step}: a step is positive; None takes 1/weight.")

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        penalty = None if self.step is None else 1 / self.step
        return ADMM(self.tolerance, self.max_iterations, penalty, self.check).run(fidelity, prior, weight, start)
