"""Fit Gaussian processes: one kernel a column, or one kernel for each group of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from sciml.errors import LearnerError
from sciml.learners.mmgp.gaussian_processes.config import GaussianProcessConfig
from sciml.learners.mmgp.gaussian_processes.exact import ExactGaussianProcesses
from sciml.learners.mmgp.gaussian_processes.likelihood import MarginalLikelihood
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianProcesses
from sciml.learners.mmgp.gaussian_processes.search import random_starts, search
from sciml.learners.mmgp.gaussian_processes.sparse import SparseGaussianProcesses
from sciml.learners.mmgp.gaussian_processes.sparse_fitting import fit_sparse
from sciml.learners.mmgp.gaussian_processes.standardisation import column_moments, standardised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sciml.inference.result import Advance

__all__ = ["fit_gaussian_processes", "fit_shared_gaussian_processes", "restore"]


def fit_gaussian_processes(
    inputs: Tensor,
    targets: Tensor,
    config: GaussianProcessConfig,
    generator: Generator,
    progress: Advance | None = None,
) -> GaussianProcesses:
    """Gaussian processes with a Matérn-5/2 kernel, length scales and noise of its own for each column.

    Inputs and targets are standardised inside; every answer is in the units of ``targets``. With more samples than
    ``config.largest_exact``, inducing points carry the posterior.

    Parameters
    ----------
    inputs, targets
        ``(n, d)`` and ``(n, m)``, float64, on one device. d may be 0, and columns may be constant.
    generator
        Draws the random starts (and inducing points): the same seed gives the same model.
    progress
        Told the fraction that is done.

    Returns
    -------
    GaussianProcesses
        Its ``status (m,)`` says how the search of each column ended (`solvers.Status`).

    Raises
    ------
    LearnerError
        If shapes or dtypes do not fit, values are not finite, or there are fewer than two samples.

    Examples
    --------
    >>> x = torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None]
    >>> processes = fit_gaussian_processes(x, x.sin(), GaussianProcessConfig(), torch.Generator().manual_seed(0))
    >>> abs(processes.predict(x + 0.1).mean - (x + 0.1).sin())[:-1].max().item() < 1e-3
    True
    """
    _check(inputs, targets)
    state = _standard_state(inputs, targets)
    if len(inputs) > config.largest_exact:
        return SparseGaussianProcesses(fit_sparse(state, config, generator, progress))
    kernels = torch.arange(targets.shape[1], device=inputs.device)
    return _fit_exact(state, kernels, config, generator, progress)


def fit_shared_gaussian_processes(
    inputs: Tensor,
    targets: Tensor,
    groups: Tensor,
    config: GaussianProcessConfig,
    generator: Generator,
    progress: Advance | None = None,
) -> GaussianProcesses:
    """As `fit_gaussian_processes`, but columns with the same number in ``groups (m,)`` share one kernel and noise.

    Their likelihoods are multiplied. Numbers count from 0 without gaps.

    Raises
    ------
    LearnerError
        As `fit_gaussian_processes`; if ``groups`` does not number the columns; or if there are more samples than
        ``config.largest_exact``.

    Examples
    --------
    >>> x = torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None]
    >>> targets, groups = torch.cat([x.sin(), x.cos()], 1), torch.tensor([0, 0])
    >>> generator = torch.Generator().manual_seed(0)
    >>> fit_shared_gaussian_processes(x, targets, groups, GaussianProcessConfig(), generator).length_scales.shape
    torch.Size([1, 1])
    """
    _check(inputs, targets)
    numbers = groups.unique().tolist()
    if groups.shape != targets.shape[1:] or numbers != list(range(len(numbers))):
        raise LearnerError(
            f"groups of shape {tuple(groups.shape)} with the numbers {numbers[:5]}: one number for each of the "
            f"{targets.shape[1]} columns is expected, counted from 0 without gaps."
        )
    if len(inputs) > config.largest_exact:
        raise LearnerError(
            f"{len(inputs)} samples, but shared kernels need the exact posterior (largest_exact = "
            f"{config.largest_exact}): give every column its own kernel, or raise largest_exact."
        )
    return _fit_exact(_standard_state(inputs, targets), groups.to(inputs.device), config, generator, progress)


def restore(state: Mapping[str, Tensor]) -> GaussianProcesses:
    """Rebuild fitted Gaussian processes from their ``state_dict``.

    Examples
    --------
    >>> x = torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None]
    >>> processes = fit_gaussian_processes(x, x.sin(), GaussianProcessConfig(), torch.Generator().manual_seed(0))
    >>> torch.equal(restore(processes.state_dict()).predict(x).mean, processes.predict(x).mean)
    True
    """
    kind = SparseGaussianProcesses if "inducing" in state else ExactGaussianProcesses
    return kind(dict(state))


@torch.no_grad()
def _fit_exact(
    state: dict[str, Tensor],
    kernel_of_column: Tensor,
    config: GaussianProcessConfig,
    generator: Generator,
    progress: Advance | None,
) -> GaussianProcesses:
    inputs, targets = state["inputs"], state["targets"]
    likelihood = MarginalLikelihood(inputs, *_by_kernel(targets, state["target_deviation"], kernel_of_column))
    starts = random_starts(inputs.shape[1], config, generator).to(inputs.device)
    found = search(likelihood, starts, config, progress)
    parameters = found.point.exp()
    return ExactGaussianProcesses(
        state
        | {
            "length_scales": parameters[:, :-2],
            "signal_variance": parameters[:, -2],
            "noise_variance": parameters[:, -1],
            "kernel_of_column": kernel_of_column,
            "status": found.status[kernel_of_column],
        }
    )


def _by_kernel(targets: Tensor, deviation: Tensor, kernel_of_column: Tensor) -> tuple[Tensor, Tensor]:
    """The varying columns of every kernel ``(g, n, c)``, filled up with zeros, and their numbers ``(g,)``."""
    varying = [kernel_of_column[deviation > 0] == k for k in range(int(kernel_of_column.max()) + 1)]
    counts = torch.stack([mine.sum() for mine in varying])
    filled = targets.new_zeros(len(varying), len(targets), max(1, int(counts.max())))
    for k, mine in enumerate(varying):
        filled[k, :, : counts[k]] = targets[:, deviation > 0][:, mine]
    return filled, counts.to(targets.dtype)


def _standard_state(inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    input_mean, input_deviation = column_moments(inputs)
    target_mean, target_deviation = column_moments(targets)
    return {
        "inputs": standardised(inputs, input_mean, input_deviation),
        "targets": standardised(targets, target_mean, target_deviation),
        "input_mean": input_mean,
        "input_deviation": input_deviation,
        "target_mean": target_mean,
        "target_deviation": target_deviation,
    }


def _check(inputs: Tensor, targets: Tensor) -> None:
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets) or not targets.shape[1]:
        raise LearnerError(
            f"inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)}: (samples, inputs) and (samples, "
            "outputs) with the same samples and at least one output are expected."
        )
    if len(inputs) < 2:
        raise LearnerError(f"{len(inputs)} samples: a Gaussian process needs two at least, and some ten an input.")
    for name, values in (("inputs", inputs), ("targets", targets)):
        if values.dtype != torch.float64:
            raise LearnerError(
                f"{name} are {values.dtype}: Cholesky factors of covariances need float64, use .double()."
            )
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise LearnerError(
                f"{name} are NaN or infinite in {len(bad)} places (first: sample {row}, column {column}): "
                "leave these samples or columns out."
            )
