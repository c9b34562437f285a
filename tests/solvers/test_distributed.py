"""Distributed operators: the same products, iterations, derivatives and statuses as on one process."""

from __future__ import annotations

import re
from itertools import pairwise

import distributed_jobs as jobs
import pytest
import torch
from distributed_world import World
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    Auto,
    BiCGStab,
    CSROperator,
    DistributedError,
    FlexibleCG,
    Jacobi,
    SingleReductionCG,
    Status,
    SuperLU,
    TagError,
    linear_solve,
)
from solvers.distributed import BlockPreconditioner, Partition

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")

SOLVERS = {"CG": CG, "SingleReductionCG": SingleReductionCG, "GMRES": GMRES}
KRYLOV = {**SOLVERS, "FGMRES": FGMRES, "FlexibleCG": FlexibleCG, "MINRES": MINRES, "BiCGStab": BiCGStab}
# Every operator under CG, every solver on operators of different kinds.
CASES = [
    *((name, "CG", 2) for name in jobs.SPD),
    ("batch", "CG", 3),
    ("stencil periodic", "CG", 3),
    ("complex", "SingleReductionCG", 2),
    ("diffusion", "SingleReductionCG", 3),
    ("stencil batch", "SingleReductionCG", 3),
    ("unsymmetric", "GMRES", 2),
    ("complex", "GMRES", 3),
    ("stencil", "GMRES", 3),
]


@pytest.fixture(scope="module")
def worlds():
    """Two and three processes."""
    running = {2: World(2), 3: World(3)}
    yield running
    for world in running.values():
        world.stop()


def even(n, size):
    return [n * r // size for r in range(size + 1)]


def uneven(n, size):
    """Two rows or planes for the first of two processes; one, two and the rest for three."""
    return [0, 2, n] if size == 2 else [0, 1, 3, n]


def hollow(n, size):
    """Nothing for the first process."""
    return [0, *even(n, size - 1)]


def local(whole, partition_offsets, parameter):
    """What of a parameter's gradient belongs to each process."""
    if isinstance(whole, CSROperator):
        return [parameter[..., a:b] for a, b in pairs(whole.pattern.crow[partition_offsets].tolist())]
    axis = -len(whole.grid)
    return [parameter.narrow(axis, a, b - a) for a, b in pairs(partition_offsets)]


def pairs(values):
    return list(pairwise(values))


@pytest.mark.parametrize(("size", "split"), [(2, even), (2, uneven), (3, uneven), (3, hollow)])
@pytest.mark.parametrize("name", jobs.WHOLE)
def test_products_are_those_of_the_whole_matrix(worlds, name, size, split):
    """A x, Aᴴ y and the diagonal; also where a process owns one row or none and a stencil reaches past a slab."""
    whole = jobs.WHOLE[name]()
    expected = jobs.products(whole)
    for found in worlds[size].run(jobs.on_parts, jobs.products, name, split(jobs.length(whole), size)):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["unsymmetric", "stencil wide periodic"])
def test_products_follow_changes_in_place(worlds, name):
    """(2 A) x = 2 (A x), also for what was copied apart for the halo."""
    for before, after in worlds[2].run(jobs.changed_in_place, name, uneven(9, 2)):
        torch.testing.assert_close(after, [2 * part for part in before])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_products_of_random_matrices(worlds, data):
    """Any pattern, partition, batch and precision: empty rows, empty parts, no entries at all."""
    n = data.draw(st.integers(1, 9), "n")
    cuts = sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2), "cuts"))
    arguments = [
        data.draw(st.integers(0, 100), "seed"),
        n,
        data.draw(st.floats(0, 1), "density"),
        tuple(data.draw(st.lists(st.integers(0, 2), max_size=2), "batch")),
        data.draw(st.sampled_from([torch.float32, torch.float64, torch.complex128]), "dtype"),
    ]
    expected = jobs.random_products(*arguments, None)
    for found in worlds[3].run(jobs.random_products, *arguments, [0, *cuts, n]):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["unsymmetric", "complex", "stencil wide", "stencil wide periodic"])
def test_rmv_is_the_adjoint_of_mv(worlds, name):
    """⟨A x, y⟩ = ⟨x, Aᴴ y⟩ to 1e-12, the same number on all processes."""
    offsets = uneven(jobs.length(jobs.WHOLE[name]()), 3)
    left, right = zip(*worlds[3].run(jobs.on_parts, jobs.adjointness, name, offsets), strict=True)
    torch.testing.assert_close(left[0], right[0], rtol=1e-12, atol=1e-12)
    assert all(torch.equal(other, left[0]) for other in left[1:])


@pytest.mark.parametrize(("name", "solver", "size"), CASES)
def test_solution_iterations_and_gradients_are_the_serial_ones(worlds, name, solver, size):
    """To 1e-9, on uneven parts."""
    whole = jobs.WHOLE[name]()
    offsets = uneven(jobs.length(whole), size)
    method = SOLVERS[solver](rtol=1e-12)
    expected = jobs.solution(whole, method)
    found = worlds[size].run(jobs.on_parts, jobs.solution, name, offsets, method)
    for part, gradient in zip(found, local(whole, offsets, expected["parameter"]), strict=True):
        assert torch.equal(part["iterations"], expected["iterations"])
        torch.testing.assert_close(part["value"], expected["value"], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(part["b"], expected["b"], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(part["parameter"], gradient, rtol=1e-9, atol=1e-9)
        assert torch.equal(part["residual"], found[0]["residual"])


@pytest.mark.parametrize("name", ["diffusion", "batch", "stencil", "stencil periodic"])
def test_second_derivatives_are_the_serial_ones(worlds, name):
    """∂²f of f = Σ c (A⁻¹ b)³ along a direction: the backward of the exchange is itself differentiable."""
    whole = jobs.WHOLE[name]()
    offsets = uneven(jobs.length(whole), 2)
    method = CG(rtol=1e-13)
    expected = jobs.second_derivatives(whole, method)
    found = worlds[2].run(jobs.on_parts, jobs.second_derivatives, name, offsets, method)
    for part, gradient in zip(found, local(whole, offsets, expected["parameter"]), strict=True):
        torch.testing.assert_close(part["b"], expected["b"], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(part["parameter"], gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["unsymmetric", "batch", "stencil wide", "stencil wide periodic"])
def test_derivatives_of_products_are_the_serial_ones(worlds, name, transposed):
    """First and second, of A x and Aᵀ x, by x and by the stored coefficients."""
    whole = jobs.WHOLE[name]()
    offsets = uneven(jobs.length(whole), 3)
    expected = jobs.product_derivatives(whole, transposed)
    found = worlds[3].run(jobs.on_parts, jobs.product_derivatives, name, offsets, transposed)
    for order in (0, 1):
        slices = local(whole, offsets, expected["parameter"][order])
        for part, gradient in zip(found, slices, strict=True):
            torch.testing.assert_close(part["x"][order], expected["x"][order])
            torch.testing.assert_close(part["parameter"][order], gradient)


@pytest.mark.parametrize("name", ["diffusion", "stencil periodic"])
def test_forward_derivatives_are_the_serial_ones(worlds, name):
    """ẋ = A⁻¹ (ḃ − Ȧ x)."""
    whole = jobs.WHOLE[name]()
    expected = jobs.tangents(whole, CG(rtol=1e-13))
    offsets = uneven(jobs.length(whole), 2)
    for found in worlds[2].run(jobs.on_parts, jobs.tangents, name, offsets, CG(rtol=1e-13)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("where", ["b", "A"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_nan_on_one_process_gives_its_system_one_status_everywhere(worlds, solver, where):
    """NONFINITE_INPUT for the second system on all processes; its neighbours are solved."""
    for status, invalid, steps in worlds[2].run(jobs.poisoned, [0, 16, 24], SOLVERS[solver](), 1, where):
        assert status.tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.CONVERGED]
        assert invalid.tolist() == [False, True, False]
        assert steps[1] == 0


def test_the_interior_is_multiplied_while_messages_travel(worlds):
    for events in worlds[2].run(jobs.order_of_events, "diffusion", [0, 17, 35]):
        assert events == ["post", "multiply", "wait"]


def test_single_reduction_cg_sums_once_a_step(worlds):
    """One all_reduce for ⟨r, z⟩, ⟨w, z⟩ and ⟨r, r⟩ together; plain CG needs two."""
    name, offsets = "stencil", [0, 3, 7]
    for solver, sums in (("SingleReductionCG", 1), ("CG", 2)):
        assert worlds[2].run(jobs.reductions_per_step, name, offsets, SOLVERS[solver], (4, 9)) == [sums, sums]


@pytest.mark.parametrize("name", ["diffusion", "batch", "stencil periodic"])
def test_block_preconditioner_inverts_the_diagonal_blocks(worlds, name):
    """M = diag(A₁₁⁻¹, …, A_PP⁻¹), symmetric positive definite because every block is."""
    whole = jobs.WHOLE[name]()
    offsets = hollow(jobs.length(whole), 3)
    plane = whole.shape[0] // jobs.length(whole)
    dense = whole.to_dense()
    expected = torch.zeros_like(dense)
    for a, b in pairs([plane * offset for offset in offsets]):
        expected[..., a:b, a:b] = torch.linalg.inv(dense[..., a:b, a:b])
    for M, is_linear, is_spd in worlds[3].run(jobs.block_inverse, name, offsets):
        torch.testing.assert_close(M, expected)
        assert (is_linear, is_spd) == (True, True)


@pytest.mark.parametrize(("solver", "split"), [*((name, hollow) for name in KRYLOV), ("FlexibleCG", uneven)])
def test_every_krylov_method_is_the_same_on_parts(worlds, solver, split):
    """The preconditioned solution is the serial one; all processes take part in every sum, also one without rows."""
    expected = jobs.solution(jobs.WHOLE["stencil"](), CG(rtol=1e-12))["value"]
    arguments = "stencil", split(7, 3), KRYLOV[solver](rtol=1e-12), Jacobi()
    for value, _ in worlds[3].run(jobs.preconditioned, *arguments):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("split", [uneven, hollow])
def test_exact_blocks_leave_only_the_cuts(worlds, split):
    """CG ends after 1 + rank(A − diag(Aᵣᵣ)) steps: as many as there are unknowns beside the cuts, and one."""
    expected = jobs.solution(jobs.WHOLE["stencil"](), CG(rtol=1e-12))["value"]
    for value, steps in worlds[3].run(jobs.preconditioned, "stencil", split(7, 3), CG(rtol=1e-12), SuperLU()):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        assert steps <= 2 * 2 * 5 + 1


def test_a_kernel_is_deflated_across_processes(worlds):
    """Neumann: the solution orthogonal to the constants, as the whole operator finds it by itself."""
    whole = jobs.diffusion((6, 4), (2,), "neumann")
    b = jobs.vectors(whole, 1)[0]
    expected = linear_solve(whole, b, CG(rtol=1e-12), project_rhs=True).value
    for found in worlds[3].run(jobs.neumann, uneven(6, 3), CG(rtol=1e-12)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_tags_are_verified_across_processes(worlds):
    """As many Lanczos steps everywhere, although one process has a single row; a false tag is seen by all."""
    expected = jobs.solution(jobs.WHOLE["dense"](), CG(rtol=1e-12))["value"]
    for found in worlds[3].run(jobs.checked, "dense", uneven(9, 3), CG(rtol=1e-12)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for kind, message in worlds[3].run(jobs.complaint, jobs.false_tag, uneven(9, 3)):
        assert kind == "TagError"
        assert "random u, v" in message


@pytest.mark.parametrize("offsets", [[0, 0, 9], [0, 4, 9], [0, 9, 9]], ids=str)
def test_the_default_solver_is_the_same_on_all_processes(worlds, offsets):
    """Also where a part is empty, or as large as the matrix: x = A⁻¹ b."""
    whole = jobs.WHOLE["unsymmetric"]()
    expected = torch.linalg.solve(whole.to_dense(), jobs.vectors(whole, 1)[0])
    for found in worlds[2].run(jobs.default_solution, offsets, Auto(rtol=1e-12)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_gather_undoes_scatter_and_sums_gradients(worlds):
    """The gradient of the sum of two processes' losses Σ w·x is 2 w."""
    for again, gradient in worlds[2].run(jobs.round_trip, [0, 2, 7]):
        torch.testing.assert_close(again, jobs.normal(2, 7))
        torch.testing.assert_close(gradient, 2 * jobs.normal(7, seed=1).expand(2, 7))


def test_partitions_from_owners(worlds):
    """A partitioner's vector of owners, sorted, gives the offsets; a process may own nothing."""
    assert worlds[3].run(jobs.owners, [0, 0, 2, 2, 2]) == [(0, 2, 2, 5)] * 3


BAD_ON_ALL = {
    "too few offsets": ("ShapeError", "expected 3", jobs.partition, ([0, 4],)),
    "offsets fall": ("ShapeError", "never fall", jobs.partition, ([0, 6, 5],)),
    "offsets start late": ("ShapeError", "start at 0", jobs.partition, ([1, 3, 5],)),
    "offsets differ": ("DistributedError", "give all the same", jobs.different_offsets, ()),
    "owners fall": ("PatternError", "renumber", jobs.owners, ([0, 1, 0],)),
    "owners outside": ("PatternError", "0 … 1", jobs.owners, ([0, 2],)),
    "rows not covered": ("ShapeError", "cover 8 rows of 9", jobs.wrong_cover, ("dense",)),
    "planes not covered": ("ShapeError", "cover 6 planes of 7", jobs.wrong_cover, ("stencil",)),
    "slab around the axis": ("ShapeError|DistributedError", "more even|process 0", jobs.meets_itself, ()),
    "slab": ("ShapeError|DistributedError", "owns 2 planes|process 0", jobs.wrong_slab, ()),
    "vector": ("ShapeError", r"\(\*batch, [45]\)", jobs.bad_vector, ()),
    "dense": ("ShapeError", "local_block", jobs.dense_matrix, ()),
    "diagonal": ("TagError", "distributed: diagonal .* BlockPreconditioner", jobs.jacobi_of_normal_equations, ()),
    "dense product": ("TagError", "distributed: to_dense", jobs.dense_product, ()),
    "direct": ("TagError", "is distributed: DenseLU", jobs.refused_by, ("DenseLU",)),
    "eigenpairs": ("TagError", "is distributed: lobpcg", jobs.refused_by, ("lobpcg",)),
    "scatter": ("ShapeError", "the whole", jobs.wrong_scatter, ()),
    "gather": ("ShapeError", "owns", jobs.wrong_gather, ()),
}


@pytest.mark.parametrize("case", BAD_ON_ALL)
def test_bad_input_is_named_on_all_processes(worlds, case):
    kinds, words, job, arguments = BAD_ON_ALL[case]
    for kind, message in worlds[2].run(jobs.complaint, job, *arguments):
        assert kind in kinds.split("|"), message
        assert re.search(words, message), message


BAD_ON_ONE = {
    "crow": ("ShapeError", r"crow \(3,\)"),
    "falling": ("PatternError", "rise from 0"),
    "column": ("PatternError", "from 0 to 4 in a matrix of 4"),
    "unsorted": ("PatternError", "row 0"),
    "values": ("ShapeError", "2 entries"),
    "dtype": ("DTypeError", "int64"),
    "float columns": ("DTypeError", "expected integers"),
}


@pytest.mark.parametrize("case", BAD_ON_ONE)
def test_bad_input_of_one_process_ends_all(worlds, case):
    """That process says what is wrong, the other which one to read; none waits for ever."""
    other, culprit = worlds[2].run(jobs.complaint, jobs.one_bad_process, case)
    assert other[0] == "DistributedError"
    assert "process 1" in other[1]
    assert culprit[0] == BAD_ON_ONE[case][0]
    assert re.search(BAD_ON_ONE[case][1], culprit[1]), culprit[1]


def test_a_recipe_that_fails_on_one_process_ends_all(worlds):
    arguments = jobs.preconditioned, "dense", [0, 4, 9], CG(), jobs.FailingRecipe()
    culprit, other = worlds[2].run(jobs.complaint, *arguments)
    assert culprit == ("ValueError", "row 0 has a zero diagonal")
    assert other[0] == "DistributedError"


def test_without_processes_the_launcher_is_named():
    with pytest.raises(DistributedError, match="torchrun"):
        Partition((0, 4))
    with pytest.raises(DistributedError, match="init_process_group"):
        Partition.even(4)


def test_block_preconditioner_wants_a_distributed_operator():
    with pytest.raises(TagError, match="not distributed"):
        BlockPreconditioner(jobs.DenseRecipe()).setup(jobs.WHOLE["dense"]())
