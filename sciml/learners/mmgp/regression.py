"""The regression's targets, coefficients of every field side by side and then the scalars, and refits to other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes.exact import ExactGaussianProcesses
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianProcesses
from sciml.learners.mmgp.gaussian_processes.sparse import SparseGaussianProcesses, best_inducing_values
from sciml.learners.mmgp.gaussian_processes.standardisation import standardised

__all__ = ["Columns", "refit_and_predict", "take_columns"]

#: Columns at a time: each keeps a factor of the size of its covariance.
_COLUMNS = 16


@dataclass(frozen=True)
class Columns:
    """Which columns of the targets belong to what.

    Parameters
    ----------
    ranks
        Name of each block of fields that are reduced together to its number of modes, in order.
    scalars
        Names of the scalars.
    blocks
        Name of each field to its block; fields that are not there are their own.

    Examples
    --------
    >>> columns = Columns({"u": 2, "v": 1}, ("peak",), {"v@1": "v", "v@2": "v"})
    >>> columns.of("v@2"), columns.scalar("peak"), columns.count
    (slice(2, 3, None), 3, 4)
    """

    ranks: dict[str, int]
    scalars: tuple[str, ...]
    blocks: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """All columns."""
        return sum(self.ranks.values()) + len(self.scalars)

    def of(self, name: str) -> slice:
        """Columns of the coefficients of a field or block."""
        block, names = self.blocks.get(name, name), list(self.ranks)
        begin = sum(self.ranks[other] for other in names[: names.index(block)])
        return slice(begin, begin + self.ranks[block])

    def scalar(self, name: str) -> int:
        """Column of a scalar."""
        return sum(self.ranks.values()) + self.scalars.index(name)


def refit_and_predict(
    processes: GaussianProcesses, inputs: Tensor, targets: Tensor, at: Tensor
) -> tuple[Tensor, Tensor]:
    """Predict with the kernels of fitted processes, but from other data.

    Parameters
    ----------
    inputs, targets
        ``(k, d)`` and ``(k, m)``, the data now.
    at
        ``(q, d)``.

    Returns
    -------
    mean, variance
        ``(q, m)`` of observations: the noise is in the variance.

    Examples
    --------
    >>> from torch import Generator
    >>> from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig, fit_gaussian_processes
    >>> x = torch.linspace(-3, 3, 12, dtype=torch.float64)[:, None]
    >>> processes = fit_gaussian_processes(x, x.sin(), GaussianProcessConfig(), Generator().manual_seed(0))
    >>> mean, _ = refit_and_predict(processes, x[1:], x[1:].sin(), x[:1])  # leaves the first one out
    >>> bool((mean - processes.leave_one_out().mean[:1]).abs() < 1e-6)
    True
    """
    means, variances = [], []
    for chosen in torch.arange(targets.shape[1]).split(_COLUMNS):
        part = _conditioned(processes, chosen, inputs, targets[:, chosen])
        found = part.predict(at)
        means.append(found.mean)
        variances.append(found.variance + part.noise)
    return torch.cat(means, dim=1), torch.cat(variances, dim=1)


def take_columns(processes: GaussianProcesses, chosen: Tensor) -> GaussianProcesses:
    """Only the columns ``chosen (k,)`` of the processes."""
    inputs = processes.input_mean + processes.input_deviation * processes.inputs
    targets = processes.target_mean + processes.target_deviation * processes.targets
    return _conditioned(processes, chosen, inputs, targets[:, chosen])


def _conditioned(processes: GaussianProcesses, chosen: Tensor, inputs: Tensor, targets: Tensor) -> GaussianProcesses:
    """Some columns of the processes with other data, standardised as the first ones were."""
    state: dict[str, Tensor] = dict(processes.state_dict())
    kernels = state["kernel_of_column"][chosen] if "kernel_of_column" in state else chosen
    for name in ("length_scales", "signal_variance", "noise_variance"):
        state[name] = state[name][kernels]
    for name in ("target_mean", "target_deviation", "status"):
        state[name] = state[name][chosen]
    state["inputs"] = standardised(inputs, processes.input_mean, processes.input_deviation)
    state["targets"] = standardised(targets, state["target_mean"], state["target_deviation"])
    if "kernel_of_column" in state:
        state["kernel_of_column"] = torch.arange(len(chosen))
        return ExactGaussianProcesses(state)
    state["inducing"] = state["inducing"][chosen]
    state["inducing_mean"], state["inducing_root"] = best_inducing_values(
        state["inputs"],
        state["targets"],
        *(state[k] for k in ("inducing", "length_scales", "signal_variance", "noise_variance")),
    )
    return SparseGaussianProcesses(state)
