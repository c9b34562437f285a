"""What each process does in the tests of learners with a constraint."""

from __future__ import annotations

import torch
import torch.distributed as dist

from pde_benchmarks.diffusion_sorption import DiffusionSorption
from sciml.learners.hard_constraints.learner import HardConstraintConfig, HardConstraintLearner


def first_gradient(parallel: str | None, coupling: str):
    """Loss and gradient of four samples, in float64; by one process, or with what `parallel` says shared by all."""
    problem = DiffusionSorption(resolution=16, frames=5)
    config = HardConstraintConfig(
        functions=4, channels=6, layers=1, experts=3, coupling=coupling, parallel=parallel or "samples"
    )
    learner = HardConstraintLearner.from_problem(problem, config)
    learner.module.double()
    inputs = problem.sample(4, torch.Generator().manual_seed(0))
    arrays = learner._arrays(inputs)
    arrays["coordinates"] = arrays["coordinates"].double()
    if parallel is not None:
        rank, size = dist.get_rank(), dist.get_world_size()
        share = slice(rank * 4 // size, (rank + 1) * 4 // size)
        arrays = {name: array[share].contiguous() for name, array in arrays.items()}
    loss = learner.objective()(learner.module, arrays, torch.Generator().manual_seed(0))
    loss.backward()
    flat = torch.cat([p.grad.flatten() for p in learner.module.parameters()])
    loss = loss.detach()
    if parallel is not None:  # as DistributedDataParallel does
        for mean in (flat, loss):
            dist.all_reduce(mean)
            mean /= dist.get_world_size()
    return float(loss), flat.tolist()
