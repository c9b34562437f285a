"""What each process does in the tests of experts that are spread over processes."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.append(str(Path(__file__).parent))

from termwise_toys import reaction, smooth_basis

from sciml.learners.hard_constraints.bounds import Unbounded
from sciml.learners.hard_constraints.expert_parallel import ExpertParallel
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.mixture import Coupled, Independent, MixtureOfExperts
from sciml.learners.hard_constraints.norms import ErrorNorm, PlainNorm
from sciml.learners.hard_constraints.routers import BoxRouter

NORMS = {
    "plain": PlainNorm(),
    "error": ErrorNorm(),
    "plain, some points": PlainNorm(points=40),
    "error, some points": ErrorNorm(points=40),
}


def trained(parallel: bool, norm: str, coupling, count: int, bound=None, steps: int = 3):
    """Losses, the first gradient and the last parameters of a basis under gradient descent."""
    residual = reaction(curve=2.0, times=6, points=13)
    mixture = ExpertParallel if parallel else MixtureOfExperts
    layer = ConstraintLayer(NORMS[norm], bound=bound or Unbounded())
    experts = mixture(layer, BoxRouter((1, count)), coupling)
    basis = smooth_basis(residual, 2, 4).requires_grad_()
    offset = torch.zeros(2, *residual.shape, dtype=torch.float64)
    target, losses, gradients = residual.solution(), [], []
    for _ in range(steps):
        field = experts(residual, basis, offset, None, torch.Generator().manual_seed(0))
        # Coupled experts have one objective, the same everywhere; of independent ones each process has its own.
        loss = (field.values - target).square().mean()
        if isinstance(coupling, Coupled):
            loss = loss + field.objective().mean()
        (gradient,) = torch.autograd.grad(loss, basis)
        if parallel:  # as DistributedDataParallel does
            dist.all_reduce(gradient)
            gradient /= dist.get_world_size()
        losses.append(float(loss.detach()))
        gradients.append(gradient)
        basis = (basis.detach() - 0.1 * gradient).requires_grad_()
    return losses, gradients[0].tolist(), basis.tolist()


def sensitivities(parallel: bool, norm: str, coupling):
    """Gradients with respect to an offset and to the residual's parameters."""
    residual = reaction(curve=2.0, times=6, points=13)
    residual.parameters = tuple(p.requires_grad_() for p in residual.parameters)
    offset = (0.1 * residual.solution()).requires_grad_()
    mixture = ExpertParallel if parallel else MixtureOfExperts
    experts = mixture(ConstraintLayer(NORMS[norm]), BoxRouter((1, 3)), coupling)
    values = experts(residual, smooth_basis(residual, 2, 4), offset).values
    gradients = torch.autograd.grad((values**2).sum(), (offset, *residual.parameters))
    if parallel:
        for gradient in gradients:
            dist.all_reduce(gradient)
            gradient /= dist.get_world_size()
    return [gradient.tolist() for gradient in gradients]


def broken(norm: str = "plain") -> str:
    """The message where the last box, of the last process, holds a NaN."""
    residual = reaction(curve=2.0, times=6, points=13)
    basis = smooth_basis(residual, 2, 4)
    basis[1, 0, 3, 10] = torch.nan
    experts = ExpertParallel(ConstraintLayer(NORMS[norm], throw=True), BoxRouter((1, 3)), Independent())
    try:
        experts(residual, basis, torch.zeros(2, *residual.shape, dtype=torch.float64))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def complaint(count: int) -> str:
    """The message of what is raised."""
    try:
        trained(True, "plain", Independent(), count)
    except Exception as error:
        return str(error)
    return ""
