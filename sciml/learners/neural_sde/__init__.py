"""Neural stochastic differential equations: Brownian paths as functions of a seed, and adaptive solves on them."""

from sciml.learners.neural_sde.brownian import BrownianPath
from sciml.learners.neural_sde.counter_noise import independent_seeds
from sciml.learners.neural_sde.module import NeuralSDE
from sciml.learners.neural_sde.schemes import SCHEMES, Interpretation, Scheme
from sciml.learners.neural_sde.sdesolve import sdesolve
from sciml.learners.neural_sde.solution import SDESolution

__all__ = [
    "SCHEMES",
    "BrownianPath",
    "Interpretation",
    "NeuralSDE",
    "SDESolution",
    "Scheme",
    "independent_seeds",
    "sdesolve",
]
