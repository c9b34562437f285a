"""``sciml solve`` gives SciPy's answers, says how it got them, and writes nothing that it did not solve."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from scipy.sparse.linalg import spsolve

from sciml.cli import main
from sciml.commands import linear_systems
from sciml.errors import ConfigurationError
from sciml.figures import solver_convergence
from solvers import CSROperator, FileError, read_vector, write_system


def laplacian(n, shift=0.0, wind=0.0):
    """Five points on an n × n grid, less a multiple of the identity, plus a derivative along x."""
    line = scipy.sparse.diags_array([-1.0 - wind, 2.0, -1.0 + wind], offsets=[-1, 0, 1], shape=(n, n))
    other = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    one = scipy.sparse.eye_array(n)
    return scipy.sparse.csr_array(
        scipy.sparse.kron(line, one) + scipy.sparse.kron(one, other) - shift * scipy.sparse.eye_array(n * n)
    )


def load(n, columns=None):
    return np.random.default_rng(0).random((n,) if columns is None else (n, columns))


def files(folder, matrix, b):
    scipy.sparse.save_npz(folder / "A.npz", matrix)
    np.save(folder / "b.npy", b)
    return ["solve", str(folder / "A.npz"), "--rhs", str(folder / "b.npy"), "-o", str(folder / "x.npy")]


def complaint(capsys, command, code=2):
    """The one line that a failing command writes."""
    capsys.readouterr()
    assert main([str(word) for word in command]) == code
    spoken = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sciml: ")]
    assert len(spoken) == 1
    return spoken[0]


def printed(capsys, command):
    assert main([str(word) for word in command]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.delenv("SCIML_DEBUG", raising=False)


@pytest.mark.parametrize("system", ["A.mtx", "A.mtx.gz", "A.npz", "A.h5"])
@pytest.mark.parametrize(
    ("rhs", "output"), [("b.npy", "x.txt"), ("b.mtx", "x.npz"), ("b.h5", "x.csv"), ("b.csv", "x.h5")]
)
def test_the_answer_is_that_of_scipy_in_every_format(tmp_path, capsys, system, rhs, output):
    matrix, b = laplacian(9, wind=0.3), load(81)
    write_system(tmp_path / system, CSROperator.from_scipy(matrix))
    match rhs:
        case "b.npy":
            np.save(tmp_path / rhs, b)
        case "b.mtx":
            scipy.io.mmwrite(tmp_path / rhs, b[:, None])
        case "b.h5":
            with h5py.File(tmp_path / rhs, "w") as file:
                file["b"] = b
        case _:
            np.savetxt(tmp_path / rhs, b, delimiter=",")
    words = printed(capsys, ["solve", tmp_path / system, "--rhs", tmp_path / rhs, "-o", tmp_path / output])
    np.testing.assert_allclose(read_vector(tmp_path / output), spsolve(matrix.tocsc(), b), rtol=1e-10)
    assert "DenseLU" in words
    assert "no iterations that could be drawn" in words
    assert not list(tmp_path.glob("*.png"))


CHOICES = [
    ("cg", "auto", "CG + SmoothedAggregation"),
    ("cg", "none", "CG"),
    ("cg", "jacobi", "CG + Jacobi"),
    ("cg", "ic", "CG + IncompleteCholesky"),
    ("cg", "chebyshev", "CG + Chebyshev"),
    ("cg", "ruge-stuben", "CG + RugeStuben"),
    ("minres", "auto", "MINRES"),
    ("minres", "ssor", "MINRES + SSOR"),
    ("gmres", "auto", "GMRES + IncompleteLU"),
    ("fgmres", "smoothed-aggregation", "FGMRES + SmoothedAggregation"),
    ("bicgstab", "ilu", "BiCGStab + IncompleteLU"),
    ("superlu", "auto", "SuperLU"),
    ("dense-lu", "none", "DenseLU"),
    ("auto", "jacobi", "CG + Jacobi"),
]


@pytest.mark.parametrize(("solver", "preconditioner", "method"), CHOICES)
def test_every_solver_and_preconditioner_can_be_asked_for(tmp_path, capsys, solver, preconditioner, method):
    matrix, b = laplacian(12), load(144)
    command = [*files(tmp_path, matrix, b), "--solver", solver, "--preconditioner", preconditioner, "--rtol", "1e-10"]
    words = printed(capsys, command)
    assert f"method │ {method} │" in words
    x = np.load(tmp_path / "x.npy")
    assert np.linalg.norm(b - matrix @ x) <= 1.01e-10 * np.linalg.norm(b)
    np.testing.assert_allclose(x, spsolve(matrix.tocsc(), b), rtol=1e-7)
    assert (tmp_path / "x.convergence.png").exists() == (solver not in ("superlu", "dense-lu"))


def test_what_is_printed_is_true(tmp_path, capsys):
    """The printed residual is ‖b − A x‖ / ‖b‖ of the file that was written."""
    matrix, b = laplacian(20), load(400)
    words = printed(capsys, [*files(tmp_path, matrix, b), "--solver", "cg", "--preconditioner", "jacobi"])
    assert "400 × 400, 1920 entries, symmetric" in words
    assert "right-hand side" in words
    assert "(400,); solved in float64" in words
    assert "status │ converged" in words
    iterations = int(re.search(r"iterations │ (\d+)", words)[1])
    assert 10 < iterations < 100
    residual = float(re.search(r"‖b − A x‖ / ‖b‖ │ (\S+)", words)[1])
    x = np.load(tmp_path / "x.npy")
    assert residual == pytest.approx(np.linalg.norm(b - matrix @ x) / np.linalg.norm(b), rel=1e-2)
    for part in ("set-up, s", "solve, s"):
        assert float(re.search(part + r" │ (\S+)", words)[1]) >= 0


@pytest.fixture
def iterative(monkeypatch):
    """Systems of a few hundred unknowns count as large."""
    monkeypatch.setattr("solvers.auto._DENSE", 10)
    monkeypatch.setattr("solvers.auto._SPARSE", 10)


@pytest.mark.parametrize(
    ("matrix", "method", "why"),
    [
        (laplacian(20), "CG + SmoothedAggregation", "symmetric, positive diagonal: tried as positive definite"),
        (laplacian(20, shift=0.5), "MINRES", "symmetric"),
        (-laplacian(20), "MINRES", "symmetric"),
        (laplacian(20, wind=0.2), "BiCGStab (else GMRES) + IncompleteLU", "not symmetric"),
    ],
    ids=["definite", "indefinite", "negative", "unsymmetric"],
)
def test_auto_chooses_by_structure_and_says_why(tmp_path, capsys, iterative, matrix, method, why):
    """An indefinite matrix with a positive diagonal fails as a definite one, and is then solved as what it is."""
    b = load(400)
    words = printed(capsys, files(tmp_path, matrix, b))
    assert f"method │ {method} │" in words
    assert f"why │ {why} │" in words
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), spsolve(matrix.tocsc(), b), rtol=1e-4, atol=1e-6)


def test_the_attempt_that_failed_is_named(tmp_path, capsys, iterative):
    assert main(files(tmp_path, laplacian(20, shift=0.5), load(400))) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert re.search(r"CG \+ SmoothedAggregation ended with the status (preconditioner )?indefinite", told)


def test_the_word_of_the_caller_is_taken(tmp_path, capsys, iterative):
    words = printed(capsys, [*files(tmp_path, laplacian(20), load(400)), "--spd"])
    assert "symmetric positive definite" in words
    line = complaint(capsys, [*files(tmp_path, laplacian(20, shift=0.5), load(400)), "--spd"])
    assert "not positive definite" in line
    line = complaint(capsys, [*files(tmp_path, laplacian(20, wind=0.5), load(400)), "--spd"])
    assert "--spd: the matrix is not symmetric" in line


@pytest.mark.parametrize("columns", [1, 3, 12, 81])
def test_columns_are_solved_together(tmp_path, capsys, columns):
    """Also as many as there are unknowns, where rows and columns could be confused."""
    matrix, b = laplacian(9, wind=0.3), load(81, columns)
    printed(capsys, [*files(tmp_path, matrix, b), "--solver", "bicgstab", "--rtol", "1e-12"])
    expected = spsolve(matrix.tocsc(), b).reshape(81, columns)
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), expected, rtol=1e-8)
    assert (tmp_path / "x.convergence.png").exists()


def test_a_matrix_that_is_not_square_is_a_least_squares_problem(tmp_path, capsys):
    matrix = scipy.sparse.random_array((60, 20), density=0.4, rng=0)
    b = load(60)
    words = printed(capsys, files(tmp_path, matrix, b))
    assert "not square: least squares" in words
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), np.linalg.lstsq(matrix.toarray(), b)[0], rtol=1e-6)


def test_complex_systems_are_solved(tmp_path, capsys):
    matrix = scipy.sparse.csr_array(laplacian(9) + 1j * scipy.sparse.eye_array(81))
    b = load(81)
    assert "solved in complex128" in printed(capsys, files(tmp_path, matrix, b))
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), spsolve(matrix.tocsc(), b.astype(complex)), rtol=1e-10)


def test_single_precision_stays_single_unless_asked(tmp_path, capsys):
    command = files(tmp_path, laplacian(9).astype(np.float32), load(81).astype(np.float32))
    assert "solved in float32" in printed(capsys, [*command, "--solver", "cg"])
    assert np.load(tmp_path / "x.npy").dtype == np.float32
    assert "or --dtype float64" in complaint(capsys, [*command, "--rtol", "1e-10"])
    assert "solved in float64" in printed(capsys, [*command, "--rtol", "1e-10", "--dtype", "float64"])
    assert np.load(tmp_path / "x.npy").dtype == np.float64


def test_a_solve_that_failed_writes_its_figure_and_no_solution(tmp_path, capsys):
    command = [*files(tmp_path, laplacian(20), load(400)), "--solver", "cg", "--preconditioner", "none"]
    np.save(tmp_path / "x.npy", np.arange(3))
    line = complaint(capsys, [*command, "--max-iterations", "3"])
    assert "the iteration limit came before the tolerance" in line
    assert "Raise --max-iterations" in line
    assert "loosen --rtol" in line
    assert np.load(tmp_path / "x.npy").tolist() == [0, 1, 2]
    assert (tmp_path / "x.convergence.png").read_bytes().startswith(b"\x89PNG")


def test_a_singular_matrix_is_called_so(tmp_path, capsys):
    singular = scipy.sparse.csr_array(np.ones((3, 3)))
    line = complaint(capsys, files(tmp_path, singular, np.array([1.0, 2.0, 4.0])))
    assert "(nearly) singular" in line
    assert "use --solver normal-cg for a least-squares solution" in line
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize(
    ("matrix", "method"),
    [
        ([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]], "MINRES"),
        ([[1.0, -1.0, 0.0], [-1.0, 3.0, -2.0], [0.0, -3.0, 3.0]], "GMRES"),
    ],
    ids=["symmetric", "unsymmetric"],
)
def test_a_singular_system_with_solutions_is_solved(tmp_path, capsys, matrix, method):
    """No factor exists, and b = A (1, 0, 0)ᵀ is in the range."""
    matrix = np.array(matrix)
    words = printed(capsys, files(tmp_path, scipy.sparse.csr_array(matrix), matrix[:, 0]))
    assert f"method │ {method} │" in words
    np.testing.assert_allclose(matrix @ np.load(tmp_path / "x.npy"), matrix[:, 0], atol=1e-7)


def test_a_right_hand_side_of_zero_has_the_solution_zero(tmp_path, capsys):
    assert "no iterations" in printed(capsys, [*files(tmp_path, laplacian(5), np.zeros(25)), "--solver", "cg"])
    assert np.load(tmp_path / "x.npy").tolist() == [0.0] * 25


def test_a_residual_that_rounding_keeps_large_is_pointed_out(tmp_path, capsys):
    """Of a Hilbert matrix no x in float64 has a residual of 1e-14, though LU is stable."""
    hilbert = scipy.sparse.csr_array(1.0 / (np.arange(8)[:, None] + np.arange(8) + 1))
    assert main([*files(tmp_path, hilbert, np.eye(8)[0] - np.eye(8)[7]), "--rtol", "1.2e-14"]) == 0
    told = capsys.readouterr()
    residual = float(re.search(r"‖b − A x‖ / ‖b‖ │ +(\S+)", told.out)[1])
    assert ("as small as rounding allows" in " ".join(told.err.split())) == (residual > 1.01 * 1.2e-14)
    assert residual > 1.01 * 1.2e-14


BAD = {
    "solver": (["--solver", "gauss"], "--solver gauss: unknown; known are auto, bicgstab"),
    "preconditioner": (["--preconditioner", "magic"], "--preconditioner magic: unknown; known are auto, none"),
    "direct": (["--solver", "superlu", "--preconditioner", "ilu"], "--solver superlu: takes no --preconditioner"),
    "rtol": (["--rtol", "2"], "--rtol 2: float64 reaches relative residuals from 1.1e-14 to 1"),
    "nan": (["--rtol", "nan"], "--rtol nan: float64 reaches"),
    "limit": (["--max-iterations", "0"], "--max-iterations 0: at least 1 is expected"),
    "symmetry": (["--solver", "cg"], "--solver cg: the matrix is not symmetric"),
    "dtype": (["--dtype", "int8"], "'int8' is not one of 'float32', 'float64'"),
    "ending": (["-o", "x.mat"], "x.mat: the ending '.mat' names no known format: use one of .npy"),
    "folder": (["-o", "none/x.npy"], "--output none/x.npy: none is no folder that can be written"),
    "input": (["-o", "b.npy"], "--output b.npy: would replace the input"),
    "rhs": (["--rhs", "c.npy"], "--rhs c.npy: no such file. Ones, for a test: python -c"),
    "shape": (["--rhs", "long.npy"], "--rhs long.npy: shape (26,), and the matrix"),
    "cube": (["--rhs", "cube.npy"], "shape (25, 2, 2), and the matrix"),
    "not finite": (["--rhs", "nan.npy"], "nan.npy: entry (1,), counted from 0, is nan (1 of 2 are not finite)"),
    "system": (
        ["--rhs", "A.npz"],
        "A.npz: holds a sparse matrix: expected a vector, or a few columns. Is it the system?",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing_behind(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    command = files(tmp_path, laplacian(5, wind=0.1), load(25))
    np.save("long.npy", np.ones(26))
    np.save("cube.npy", np.ones((25, 2, 2)))
    np.save("nan.npy", np.array([0, np.nan]))
    before = sorted(os.listdir())
    arguments, words = BAD[case]
    assert words in complaint(capsys, [*command, *arguments])
    assert sorted(os.listdir()) == before


def test_a_broken_system_is_one_line(tmp_path, capsys):
    command = files(tmp_path, laplacian(5), load(25))
    whole = (tmp_path / "A.npz").read_bytes()
    (tmp_path / "A.npz").write_bytes(whole[: len(whole) // 2])
    assert "A.npz: " in complaint(capsys, command)
    (tmp_path / "A.npz").unlink()
    assert "A.npz: no such file" in complaint(capsys, command)


def test_a_full_disk_leaves_the_old_solution(tmp_path, monkeypatch, capsys):
    command = files(tmp_path, laplacian(5), load(25))
    np.save(tmp_path / "x.npy", np.arange(3))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "x.npy: the disk is full" in complaint(capsys, command)
    assert np.load(tmp_path / "x.npy").tolist() == [0, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.npz", "b.npy", "x.npy"]


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (KeyboardInterrupt(), "interrupted; the same command starts anew", 130),
        (MemoryError(), "DenseLU needs more memory than there is for", 2),
        (ZeroDivisionError("division by zero"), "defect of sciml", 1),
        (FileError("A.npz: gone."), "A.npz: gone.", 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_failure_has_its_line_and_exit_code(tmp_path, monkeypatch, capsys, error, words, code):
    def fail(*_, **__):
        raise error

    command = files(tmp_path, laplacian(5), load(25))
    monkeypatch.setattr(linear_systems, "linear_solve", fail)
    assert words in complaint(capsys, command, code)
    assert not (tmp_path / "x.npy").exists()


def test_a_warning_of_a_solver_is_a_sentence(tmp_path, monkeypatch, capsys):
    import warnings

    solve = linear_systems.linear_solve

    def warn(*arguments, **options):
        warnings.warn("the factor fills up", UserWarning, stacklevel=1)
        return solve(*arguments, **options)

    command = files(tmp_path, laplacian(5), load(25))
    monkeypatch.setattr(linear_systems, "linear_solve", warn)
    assert main(command) == 0
    assert capsys.readouterr().err == "the factor fills up\n"


def test_the_program_itself_solves(tmp_path):
    """From the shell, without anything that tests have loaded."""
    matrix, b = laplacian(6), load(36)
    command = [sys.executable, "-m", "sciml", *files(tmp_path, matrix, b), "--solver", "cg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "CG + SmoothedAggregation" in done.stdout
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), spsolve(matrix.tocsc(), b), rtol=1e-6)


def test_the_figure_shows_each_of_few_systems_and_the_range_of_many():
    few = solver_convergence(np.geomspace(1, 1e-9, 10)[:, None] * np.ones(3), "CG", 1e-8).axes[0]
    assert few.get_title() == "CG"
    assert [text.get_text() for text in few.get_legend().get_texts()] == [
        *("column 0", "column 1", "column 2", "tolerance 1e-08")
    ]
    many = np.geomspace(1, 1e-9, 10)[:, None] * np.arange(1, 22)
    axes = solver_convergence(many, "CG").axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), many[:, 10])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == 21
    assert band.min() == 1e-9


def test_the_figure_leaves_out_what_is_not_finite():
    history = np.array([1.0, 0.5, np.inf, 0.1, 0.0, np.nan])[:, None]
    line = solver_convergence(history, "CG").axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 1, 3, 4]
    assert line.get_ydata().tolist() == [1, 0.5, 0.1, np.finfo(float).eps]


@pytest.mark.parametrize("history", [np.ones(3), np.ones((1, 2)), np.zeros((3, 1)), torch.zeros(0, 1)])
def test_a_history_without_a_step_has_no_figure(history):
    with pytest.raises(ConfigurationError, match=r"history: shape .* of at least one step are expected"):
        solver_convergence(history, "CG")
