"""PETSc as an independent judge of solutions, iteration counts and the block preconditioner.

PETSc runs in the system's Python, because Debian's python3-petsc4py is built for that and for NumPy 1; systems and
solutions travel as .npz files. To run these tests: ``apt-get install python3-petsc4py``; where the package does not set
a default build, it is found below /usr/lib/petscdir. Without it they are skipped.
"""

from __future__ import annotations

import os
import subprocess
from glob import glob

import distributed_jobs as jobs
import numpy as np
import pytest
import torch
from distributed_world import World

from solvers import CG, CSROperator, SuperLU, linear_solve

PYTHON = "/usr/bin/python3"
OFFSETS = [0, 6, 12, 18]

# python -c PETSC system.npz solution.npz method preconditioner
PETSC = """
import sys
import numpy as np
from petsc4py import PETSc

given, answer, method, preconditioner = sys.argv[1:]
data = np.load(given)
n = len(data["b"])
A = PETSc.Mat().createAIJ((n, n), csr=(data["crow"], data["col"], data["values"]))
b, x = PETSc.Vec().createWithArray(data["b"]), PETSc.Vec().createWithArray(np.zeros(n))
options = PETSc.Options()
options["pc_bjacobi_blocks"] = 3
options["sub_pc_type"] = "lu"
ksp = PETSc.KSP().create()
ksp.setOperators(A)
ksp.setType(method)
ksp.getPC().setType(preconditioner)
if method != "preonly":
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
if method == "gmres":
    ksp.setPCSide(PETSc.PC.Side.RIGHT)
ksp.setTolerances(rtol=1e-10, atol=0.0, max_it=1000)
ksp.setFromOptions()
ksp.solve(b, x)
np.savez(answer, x=x.getArray(), iterations=ksp.getIterationNumber(), reason=ksp.getConvergedReason())
"""


def petsc_environment():
    """Variables under which the system's Python finds petsc4py, or None."""
    plain = {"PATH": os.defpath, "OMP_NUM_THREADS": "1"}
    builds = [*filter(None, [os.environ.get("PETSC_DIR")]), *sorted(glob("/usr/lib/petscdir/petsc*/*-real"))]
    for environment in (plain, *({**plain, "PETSC_DIR": build} for build in builds)):
        try:
            command = [PYTHON, "-c", "from petsc4py import PETSc"]
            found = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
        except OSError:
            return None
        if found.returncode == 0:
            return environment
    return None


@pytest.fixture(scope="module")
def petsc(tmp_path_factory):
    """``solve(A, b, method, preconditioner)`` by PETSc: x and the iterations."""
    environment = petsc_environment()
    if environment is None:
        pytest.skip("no petsc4py in the system's Python: apt-get install python3-petsc4py")
    folder = tmp_path_factory.mktemp("petsc")

    def solve(A, b, method, preconditioner):
        parts = {"crow": A.pattern.crow, "col": A.pattern.col, "values": A.values, "b": b}
        np.savez(folder / "system.npz", **{name: part.numpy() for name, part in parts.items()})
        files = [str(folder / name) for name in ("system.npz", "solution.npz")]
        command = [PYTHON, "-c", PETSC, *files, method, preconditioner]
        subprocess.run(command, env=environment, check=True, timeout=120)
        with np.load(folder / "solution.npz") as answer:
            assert answer["reason"] > 0
            return torch.from_numpy(answer["x"]), int(answer["iterations"])

    return solve


@pytest.fixture(scope="module")
def world():
    running = World(3)
    yield running
    running.stop()


def system(name):
    A = jobs.WHOLE[name]()
    A = A if isinstance(A, CSROperator) else A.to_csr()
    return A, jobs.vectors(A, 1)[0]


def test_solution_is_petscs(petsc, world):
    """Distributed CG = PETSc's LU."""
    expected, _ = petsc(*system("slabs"), "preonly", "lu")
    for found in world.run(jobs.on_parts, jobs.solution, "slabs", OFFSETS, CG(rtol=1e-12)):
        torch.testing.assert_close(found["value"], expected, rtol=1e-9, atol=1e-9)


def test_cg_takes_petscs_iterations(petsc, world):
    """The same algorithm and test of convergence, hence the same count up to rounding."""
    _, expected = petsc(*system("slabs"), "cg", "none")
    for found in world.run(jobs.on_parts, jobs.solution, "slabs", OFFSETS, CG(rtol=1e-10)):
        assert abs(int(found["iterations"]) - expected) <= 1


def test_block_preconditioner_is_petscs_block_jacobi(petsc, world):
    """An exact solve with each of three diagonal blocks: as many iterations as PCBJACOBI with LU inside."""
    x, expected = petsc(*system("slabs"), "cg", "bjacobi")
    assert expected > 1
    for value, steps in world.run(jobs.preconditioned, "slabs", OFFSETS, CG(rtol=1e-10), SuperLU()):
        torch.testing.assert_close(value, x, rtol=1e-8, atol=1e-8)
        assert abs(int(steps) - expected) <= 1


def test_unsymmetric_solution_is_petscs(petsc):
    """SuperLU = PETSc's GMRES on a matrix without symmetry."""
    A, b = system("unsymmetric")
    expected, _ = petsc(A, b, "gmres", "none")
    torch.testing.assert_close(linear_solve(A, b, SuperLU()).value, expected, rtol=1e-8, atol=1e-8)
