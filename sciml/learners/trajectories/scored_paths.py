"""What is minimised where the future is uncertain: a proper score of a few paths, and the penalty on the dynamics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.metrics import relative_l2
from sciml.errors import TrainingError
from sciml.learners.neural_ode import SolverError
from sciml.learners.trajectories.objective import cannot_follow
from sciml.learners.trajectories.penalties import Penalty
from sciml.learners.trajectories.stochastic_surrogate import PathRollOut

__all__ = ["ScoredPaths", "energy_score"]


def energy_score(draws: Tensor, truth: Tensor) -> Tensor:
    """Energy score of draws from a prediction, E‖X − y‖ − E‖X − X'‖ / 2, without bias for any number of them.

    In expectation over y it is smallest for the law of y and for no other (Gneiting & Raftery, J. Am. Stat. Assoc. 102,
    2007, eq. 22), so neither too narrow nor too wide a spread pays. The norm is the root of the mean square.

    Parameters
    ----------
    draws
        ``(..., K, n)``, K at least 2.
    truth
        ``(..., n)``.

    Returns
    -------
    Tensor
        ``(...)``.

    Examples
    --------
    >>> energy_score(torch.tensor([[0.0], [2.0]]), torch.tensor([1.0]))
    tensor(0.)
    """
    count, size = draws.shape[-2:]
    distance = torch.linalg.vector_norm(draws - truth[..., None, :], dim=-1).mean(-1)
    first, second = torch.triu_indices(count, count, offset=1, device=draws.device)
    spread = torch.linalg.vector_norm(draws[..., first, :] - draws[..., second, :], dim=-1).mean(-1)
    return (distance - spread / 2) / size**0.5


@dataclass
class ScoredPaths:
    """Mean over samples and instants of the energy score of the state, in units of every channel's deviation.

    The score is not divided by the size of the truth, as errors are: then it would favour other laws than the truth's.

    Parameters
    ----------
    times
        Scaled times of the data, ``(M,)``.
    scale
        Deviation of every channel, ``(channels, 1, …)``.
    paths
        Paths of every sample, at least 2.
    reconstruction
        Weight of the autoencoder's own relative error on all frames; 0 where it is not trained.
    penalty
        On the dynamics; None for none.
    weight
        Of the penalty; set anew before every step.
    """

    times: Tensor
    scale: Tensor
    paths: int = 4
    reconstruction: float = 0.0
    penalty: Penalty | None = None
    weight: float = 0.0

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """Loss of a batch with ``initial`` ``(B, *shape)`` and ``frames`` ``(B, M, *shape)``.

        Raises
        ------
        TrainingError
            If the solver cannot follow a path to its end.
        """
        initial, frames = batch["initial"], batch["frames"]
        every = torch.cat([initial[:, None], frames], 1) if self.reconstruction else None
        seeds = torch.randint(1 << 62, (len(initial), self.paths), generator=generator).to(initial.device)
        try:
            found: PathRollOut = module(initial, self.times, seeds, every)
        except SolverError as error:
            raise TrainingError(cannot_follow(error.sample // self.paths, error)) from error
        loss = self._score(found, frames, generator)
        if every is not None and found.reconstruction is not None:
            loss = (
                loss + self.reconstruction * relative_l2(found.reconstruction / self.scale, every / self.scale).mean()
            )
        if self.penalty is not None and self.weight > 0:
            loss = loss + self.weight * self.penalty.make(generator)(found.solution)
        return loss

    def _score(self, found: PathRollOut, frames: Tensor, generator: Generator) -> Tensor:
        # What the latent space leaves out is part of the law; without it, the paths would have to be spread for it.
        noise = torch.randn(found.states.shape, generator=generator).to(found.states)
        draws = (found.states + found.residual * noise) / self.scale
        return energy_score(draws.flatten(3).transpose(1, 2), (frames / self.scale).flatten(2)).mean()
