"""Nonlinear systems, least squares and convex minima, batched, differentiated by the implicit function theorem."""

from solvers.nonlinear.factorisations import Factorisation, NormalEquations, Orthogonal
from solvers.nonlinear.gauss_newton import GaussNewton
from solvers.nonlinear.jacobian import JacobianOperator
from solvers.nonlinear.least_squares import least_squares
from solvers.nonlinear.levenberg_marquardt import LevenbergMarquardt
from solvers.nonlinear.line_search import Backtracking, FullStep, LineSearch
from solvers.nonlinear.minimize import minimize
from solvers.nonlinear.newton import Newton
from solvers.nonlinear.newton_cg import NewtonCG
from solvers.nonlinear.objective import HessianOperator, Objective
from solvers.nonlinear.residual_function import FunctionWithJacobian, ResidualFunction
from solvers.nonlinear.root import root
from solvers.nonlinear.solution import NonlinearSolution, NonlinearStats

__all__ = [
    "Backtracking",
    "Factorisation",
    "FullStep",
    "FunctionWithJacobian",
    "GaussNewton",
    "HessianOperator",
    "JacobianOperator",
    "LevenbergMarquardt",
    "LineSearch",
    "Newton",
    "NewtonCG",
    "NonlinearSolution",
    "NonlinearStats",
    "NormalEquations",
    "Objective",
    "Orthogonal",
    "ResidualFunction",
    "least_squares",
    "minimize",
    "root",
]
