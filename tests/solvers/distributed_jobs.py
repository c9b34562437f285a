"""What each process does in test_distributed.py; the same functions, on one whole operator, give what is expected."""

from __future__ import annotations

import torch
import torch.distributed as dist
from solver_cases import dense_spd, diffusion, normal, random_stencil
from torch.autograd import forward_ad

from solvers import CSROperator, DenseLU, Inverse, Jacobi, NormalCG, ScimlError, linear_solve, lobpcg
from solvers.distributed import BlockPreconditioner, DistributedCSR, DistributedStencil, Partition

WHOLE = {
    "diffusion": lambda: diffusion((7, 5)).to_csr(),
    "batch": lambda: diffusion((6, 4), (2,)).to_csr(),
    "dense": lambda: CSROperator.from_dense(dense_spd(9), tags={"spd"}),
    "unsymmetric": lambda: CSROperator.from_dense(dense_spd(9) + normal(9, 9, seed=3).triu() / 3),
    "complex": lambda: hermitian(9),
    "stencil": lambda: diffusion((7, 5), reaction=0.3).to_stencil(),
    "stencil batch": lambda: diffusion((6, 3, 2), (2,)).to_stencil(),
    "stencil periodic": lambda: diffusion((7, 4), (2,), "periodic", reaction=0.5).to_stencil(),
    "stencil wide": lambda: far_stencil((9, 4), False),
    "stencil wide periodic": lambda: far_stencil((9, 4), True),
    "stencil line": lambda: diffusion((8,)).to_stencil(),
    "slabs": lambda: diffusion((18, 10)).to_stencil(),
}
SPD = ["diffusion", "batch", "dense", "complex", "stencil", "stencil batch", "stencil periodic"]


def hermitian(n):
    real, imaginary = normal(n, n), normal(n, n, seed=1)
    root = torch.complex(real, imaginary)
    return CSROperator.from_dense(root @ root.mH + n * torch.eye(n), tags={"spd"})


def far_stencil(grid, periodic):
    """Unsymmetric, diagonally dominant, reaching two planes down and one diagonally up."""
    A = random_stencil(grid, (), periodic)
    return A.replace((A.coefficients + 8 * (torch.arange(len(A.offsets)) == 0)[:, None, None],))


def length(A):
    """Rows of a CSR, planes of a stencil."""
    return A.shape[0] if isinstance(A, CSROperator) else A.grid[0]


def distributed(whole, offsets):
    kind = DistributedCSR if isinstance(whole, CSROperator) else DistributedStencil
    return kind.from_global(whole, offsets)


def vectors(A, *seeds, batch=()):
    n = A.global_shape[0]
    whole = [normal(*batch, *A.batch_shape, n, seed=seed).to(A.dtype) for seed in seeds]
    if A.dtype.is_complex:
        whole = [v + 1j * normal(*v.shape, seed=seed + 100) for v, seed in zip(whole, seeds, strict=True)]
    return [A.scatter(v) for v in whole] if hasattr(A, "scatter") else whole


def gathered(A, *parts):
    return [A.gather(part.detach()) for part in parts] if hasattr(A, "gather") else [p.detach() for p in parts]


def products(A):
    """A x, Aᴴ y, the diagonal."""
    x, y = vectors(A, 1, 2, batch=(3,))
    return gathered(A, A.mv(x), A.rmv(y), A.diagonal())


def on_parts(job, name, offsets, *arguments):
    """`job` on the distributed operator."""
    return job(distributed(WHOLE[name](), offsets), *arguments)


def random_products(seed, n, density, batch, dtype, offsets):
    dense = normal(*batch, n, n, seed=seed).to(dtype)
    keep = torch.rand(n, n, generator=torch.Generator().manual_seed(seed)) < density
    whole = CSROperator.from_dense(dense * keep)
    A = whole if offsets is None else DistributedCSR.from_global(whole, offsets)
    return products(A)


def adjointness(A):
    """⟨A x, y⟩ and ⟨x, Aᴴ y⟩."""
    x, y = vectors(A, 1, 2)
    return A.inner(A.mv(x), y), A.inner(x, A.rmv(y))


def solution(A, solver):
    """Value, iterations, residual norm, and the gradients of Re ⟨c, x⟩."""
    b, c = vectors(A, 1, 2)
    b.requires_grad_()
    parameters = tuple(p.detach().clone().requires_grad_() for p in A.parameters())
    solved = linear_solve(A.replace(parameters), b, solver)
    (c.conj() * solved.value).real.sum().backward()
    value, b_grad = gathered(A, solved.value, b.grad)
    return {
        "value": value,
        "iterations": solved.stats.iterations,
        "residual": solved.stats.residual_norm,
        "b": b_grad,
        "parameter": parameters[0].grad,
    }


def second_derivatives(A, solver):
    """The gradient of Σ u·∂f/∂b + Σ v·∂f/∂θ for f = Σ c x³, x = A⁻¹ b."""
    b, c, u = vectors(A, 1, 2, 3)
    b = b.clone().requires_grad_()
    theta = A.parameters()[0].detach().clone().requires_grad_()
    x = linear_solve(A.replace((theta,)), b, solver).value
    first = torch.autograd.grad((c * x**3).sum(), (b, theta), create_graph=True)
    v = theta.detach().cos()
    second = torch.autograd.grad((u * first[0]).sum() + (v * first[1]).sum(), (b, theta))
    return {"b": gathered(A, second[0])[0], "parameter": second[1]}


def tangents(A, solver):
    """ẋ of x = A(θ)⁻¹ b along (ḃ, θ̇)."""
    b, b_dot = vectors(A, 1, 2)
    with forward_ad.dual_level():
        theta = forward_ad.make_dual(A.parameters()[0].detach(), A.parameters()[0].detach().sin())
        x = linear_solve(A.replace((theta,)), forward_ad.make_dual(b, b_dot), solver).value
        return gathered(A, forward_ad.unpack_dual(x).tangent)


def product_derivatives(A, transposed):
    """First and second derivatives of a product of the operator, whose pullback sees the halo."""
    x, c, u = vectors(A, 1, 2, 3)
    x = x.clone().requires_grad_()
    theta = A.parameters()[0].detach().clone().requires_grad_()
    B = A.replace((theta,))
    y = B.rmv(x) if transposed else B.mv(x)
    first = torch.autograd.grad((c * y**2).sum(), (x, theta), create_graph=True)
    second = torch.autograd.grad((u * first[0]).sum() + (theta.detach().cos() * first[1]).sum(), (x, theta))
    return {"x": gathered(A, first[0], second[0]), "parameter": [first[1].detach(), second[1]]}


def poisoned(offsets, solver, rank, where):
    """Statuses of a batch of three: NaN in the second system, on one process only."""
    A = distributed(diffusion((6, 4), (3,)).to_csr(), offsets)
    (b,) = vectors(A, 1)
    values = A.values.clone()
    if dist.get_rank() == rank:
        target = b if where == "b" else values
        target[1, 0] = torch.nan
    solved = linear_solve(A.replace((values,)), b, solver, throw=False)
    return solved.status, solved.value.isnan().any(-1), solved.stats.iterations


def complaint(job, *arguments):
    """The error that a job ends with, as (class, message)."""
    try:
        job(*arguments)
    except (ScimlError, ValueError) as error:
        return type(error).__name__, str(error)
    return "no error", ""


class Dense(Inverse):
    """The exact inverse, by Cholesky."""

    is_spd = True

    def __init__(self, A):
        self.factor = torch.linalg.cholesky(A.to_dense())

    def __call__(self, r):
        return torch.cholesky_solve(r.unsqueeze(-1), self.factor).squeeze(-1)


class DenseRecipe:
    def setup(self, A):
        return Dense(A)


class FailingRecipe:
    """Sound on every process but the first."""

    def setup(self, A):
        if dist.get_rank() == 0:
            raise ValueError("row 0 has a zero diagonal")
        return Dense(A)


def block_inverse(name, offsets):
    """M as a dense matrix, and what it says of itself."""
    A = distributed(WHOLE[name](), offsets)
    M = BlockPreconditioner(DenseRecipe()).setup(A)
    n = A.global_shape[0]
    identity = torch.eye(n, dtype=A.dtype).reshape(n, *(1,) * len(A.batch_shape), n).expand(n, *A.batch_shape, n)
    return A.gather(M(A.scatter(identity))).movedim(0, -1), M.is_linear, M.is_spd


def preconditioned(name, offsets, solver, recipe):
    A = distributed(WHOLE[name](), offsets)
    (b,) = vectors(A, 1)
    solved = linear_solve(A, b, solver, BlockPreconditioner(recipe))
    return A.gather(solved.value), solved.stats.iterations


def reductions_per_step(name, offsets, solver_of, steps):
    """all_reduce calls of `steps[1]` steps less those of `steps[0]`."""
    A = distributed(WHOLE[name](), offsets)
    (b,) = vectors(A, 1)
    counts, original = [], dist.all_reduce

    def counting(*arguments, **options):
        counts[-1] += 1
        return original(*arguments, **options)

    dist.all_reduce = counting
    try:
        for limit in steps:
            counts.append(0)
            linear_solve(A, b, solver_of(max_iterations=limit, rtol=1e-13), throw=False)
    finally:
        dist.all_reduce = original
    return (counts[1] - counts[0]) / (steps[1] - steps[0])


def order_of_events(name, offsets):
    """Product and messages in the order in which they happen."""
    A = distributed(WHOLE[name](), offsets)
    A.mv(vectors(A, 1)[0])
    events, interior = [], A._kept.get("parts", None, None)[0]
    exchange = A.pattern.exchange
    post, wait, multiply = exchange._post, exchange._await, interior._mv
    exchange._post = lambda *a, **k: (events.append("post"), post(*a, **k))[1]
    exchange._await = lambda *a: (events.append("wait"), wait(*a))[1]
    interior._mv = lambda x: (events.append("multiply"), multiply(x))[1]
    A.mv(vectors(A, 1)[0])
    return events


def neumann(offsets, solver):
    """A Poisson problem whose kernel is the constants."""
    A = DistributedStencil.from_global(diffusion((6, 4), (2,), "neumann"), offsets)
    (b,) = vectors(A, 1)
    return A.gather(linear_solve(A, b, solver, nullspace=torch.ones(A.shape[0]).double(), project_rhs=True).value)


def checked(name, offsets, solver):
    """The solve after a test of the tags, which must take as many steps on all processes."""
    A = distributed(WHOLE[name](), offsets)
    (b,) = vectors(A, 1)
    return A.gather(linear_solve(A, b, solver, check=True).value)


def false_tag(offsets):
    dense = dense_spd(9) + normal(9, 9, seed=3)
    A = distributed(CSROperator.from_dense(dense, tags={"symmetric"}), offsets)
    linear_solve(A, vectors(A, 1)[0], check=True)


def round_trip(offsets):
    """A vector scattered and gathered, and the gradient of Σ w·x over all processes' copies."""
    partition = Partition(tuple(offsets))
    whole = normal(2, partition.total)
    part = partition.scatter(whole).clone().requires_grad_()
    again = partition.gather(part)
    (again * normal(partition.total, seed=1)).sum().backward()
    return again.detach(), partition.gather(part.grad)


def owners(numbers):
    return Partition.from_owners(torch.tensor(numbers)).offsets


def partition(offsets):
    return Partition(tuple(offsets)).offsets


def different_offsets():
    return Partition((0, 4 + dist.get_rank(), 9)).offsets


def changed_in_place(name, offsets):
    """Products before and after the coefficients were doubled in place."""
    A = distributed(WHOLE[name](), offsets)
    A = A.replace(tuple(p.clone() for p in A.parameters()))
    before = products(A)
    for parameter in A.parameters():
        parameter.mul_(2)
    return before, products(A)


def one_bad_process(kind):
    """Only process 1 gives what does not fit."""
    bad = dist.get_rank() == 1
    crow, col, values = torch.tensor([0, 1, 2]), torch.tensor([0, 1]), torch.ones(2)
    parts = {
        "crow": (torch.tensor([0, 1]), col, values),
        "falling": (torch.tensor([0, 2, 1]), col, values),
        "column": (crow, torch.tensor([0, 4]), values),
        "unsorted": (torch.tensor([0, 2, 2]), torch.tensor([3, 2]), values),
        "values": (crow, col, torch.ones(3)),
        "dtype": (crow, col, torch.ones(2, dtype=torch.int64)),
        "float columns": (crow, col.double(), values),
    }
    DistributedCSR(*(parts[kind] if bad else (crow, col, values)), Partition((0, 2, 4)))


def wrong_slab():
    count = 3 if dist.get_rank() == 0 else 2
    DistributedStencil([(0, 0), (1, 0)], torch.ones(2, count, 5), Partition((0, 2, 4)))


def wrong_cover(kind):
    whole = WHOLE[kind]()
    distributed(whole, [0, 2, length(whole) - 1])


def meets_itself():
    DistributedStencil.from_global(far_stencil((5, 2), True), [0, 4, 5])


def bad_vector():
    A = distributed(WHOLE["dense"](), [0, 4, 9])
    A.mv(normal(9))


def dense_matrix():
    distributed(WHOLE["dense"](), [0, 4, 9]).to_dense()


def wrong_scatter():
    distributed(WHOLE["dense"](), [0, 4, 9]).scatter(normal(4))


def wrong_gather():
    distributed(WHOLE["dense"](), [0, 4, 9]).gather(normal(9))


def default_solution(offsets, solver):
    """The solution with a solver that may choose by sizes; parts may be empty, or one the whole."""
    A = distributed(WHOLE["unsymmetric"](), offsets)
    (b,) = vectors(A, 1)
    return A.gather(linear_solve(A, b, solver).value)


def jacobi_of_normal_equations():
    """AᴴA of a distributed A knows no diagonal."""
    A = distributed(WHOLE["unsymmetric"](), [0, 2, 9])
    linear_solve(A, vectors(A, 1)[0], NormalCG(), Jacobi())


def dense_product():
    A = distributed(WHOLE["unsymmetric"](), [0, 2, 9])
    (A.H @ A).to_dense()


def refused_by(name):
    """Solvers for matrices in one place, on parts of which one is the whole matrix."""
    A = distributed(WHOLE["dense"](), [0, 9, 9])
    if name == "lobpcg":
        lobpcg(A, 1)
    else:
        linear_solve(2 * A, vectors(A, 1)[0], DenseLU())
