"""A diffusion problem on slabs of a grid, one slab a process, with the gradient by its coefficient.

torchrun --nproc-per-node 2 examples/distributed_poisson.py

Every process solves the whole problem, too, and compares: leave that out where the grid is large.
"""

import torch
import torch.distributed as dist

from solvers import (
    CG,
    BlockPreconditioner,
    DistributedStencil,
    GeometricMultigrid,
    SingleReductionCG,
    SuperLU,
    finite_volume_operator,
    linear_solve,
)

N = 64


def coefficient() -> torch.Tensor:
    """The same rough field on every process."""
    field = torch.rand(N, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (2 * field).exp().requires_grad_()


def serial() -> tuple[torch.Tensor, torch.Tensor]:
    """The solution of −∇·(a ∇u) = 1, and d(Σ u²)/da."""
    a = coefficient()
    A = finite_volume_operator(a, spacing=1 / N)
    u = linear_solve(A, torch.ones(N * N, dtype=torch.float64), CG(rtol=1e-12), GeometricMultigrid()).value
    u.square().sum().backward()
    return u.detach(), a.grad


def distributed() -> tuple[torch.Tensor, torch.Tensor, int]:
    """The same, by all processes together, and the iterations it took."""
    a = coefficient()
    A = DistributedStencil.from_global(finite_volume_operator(a, spacing=1 / N))
    b = A.scatter(torch.ones(N * N, dtype=torch.float64))
    solution = linear_solve(A, b, SingleReductionCG(rtol=1e-12), BlockPreconditioner(SuperLU()))
    # The loss is the sum over the processes, each of which knows its part and calls backward.
    solution.value.square().sum().backward()
    # a was given to all processes whole, and each has the gradient of the planes it used.
    dist.all_reduce(a.grad)
    return A.gather(solution.value.detach()), a.grad, int(solution.stats.iterations)


def main() -> None:
    dist.init_process_group("gloo")
    try:
        u, gradient, iterations = distributed()
        u_serial, gradient_serial = serial()
        error = float((u - u_serial).abs().max() / u_serial.abs().max())
        gradient_error = float((gradient - gradient_serial).abs().max() / gradient_serial.abs().max())
        if dist.get_rank() == 0:
            print(f"{dist.get_world_size()} processes, {N} × {N} cells: {iterations} iterations")
            print(f"largest difference from the serial solve: {error:.1e} of the solution")
            print(f"                                          {gradient_error:.1e} of the gradient")
        assert error < 1e-9
        assert gradient_error < 1e-9
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
