"""Nonlinear systems and nonlinear least squares, batched, differentiated by the implicit function theorem."""

from solvers.nonlinear.factorisations import Factorisation, NormalEquations, Orthogonal
from solvers.nonlinear.gauss_newton import GaussNewton
from solvers.nonlinear.jacobian import JacobianOperator
from solvers.nonlinear.least_squares import least_squares
from solvers.nonlinear.levenberg_marquardt import LevenbergMarquardt
from solvers.nonlinear.line_search import Backtracking, FullStep, LineSearch
from solvers.nonlinear.newton import Newton
from solvers.nonlinear.residual_function import FunctionWithJacobian, ResidualFunction
from solvers.nonlinear.root import root
from solvers.nonlinear.solution import NonlinearSolution, NonlinearStats

__all__ = [
    "Backtracking",
    "Factorisation",
    "FullStep",
    "FunctionWithJacobian",
    "GaussNewton",
    "JacobianOperator",
    "LevenbergMarquardt",
    "LineSearch",
    "Newton",
    "NonlinearSolution",
    "NonlinearStats",
    "NormalEquations",
    "Orthogonal",
    "ResidualFunction",
    "least_squares",
    "root",
]
