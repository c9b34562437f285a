"""Plug-and-play inversion: data fidelities, priors as proximal operators, and iterations that know what they do."""

from sciml.plug_and_play.admm import ADMM
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.backtracking import Backtracking
from sciml.plug_and_play.chambolle_pock import ChambollePock
from sciml.plug_and_play.changed_priors import RelaxedPrior, RescaledPrior
from sciml.plug_and_play.classical import (
    gaussian_field_precision,
    identity_precision,
    smoothness_precision,
    tikhonov,
)
from sciml.plug_and_play.closed_forms import QuadraticPrior, SoftThreshold
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.discrepancy import DiscrepancyChoice, discrepancy_weight
from sciml.plug_and_play.douglas_rachford import DouglasRachford
from sciml.plug_and_play.gaussian_fidelity import GaussianFidelity
from sciml.plug_and_play.inversion import Inversion, invert_strength
from sciml.plug_and_play.method import Method
from sciml.plug_and_play.poisson_fidelity import PoissonFidelity
from sciml.plug_and_play.preimage_descent import PreimageDescent
from sciml.plug_and_play.priors import DenoiserPrior, LearnedPrior, Prior, ProximalPoint, StrengthenedPrior
from sciml.plug_and_play.proximal_gradient import AcceleratedProximalGradient, ProximalGradient
from sciml.plug_and_play.proximal_network import ProximalNetwork
from sciml.plug_and_play.quadratic_network import QuadraticNetwork
from sciml.plug_and_play.reconstruct import reconstruct
from sciml.plug_and_play.reconstruction import Reconstruction
from sciml.plug_and_play.total_variation import TotalVariation

__all__ = [
    "ADMM",
    "AcceleratedProximalGradient",
    "Assumption",
    "Backtracking",
    "ChambollePock",
    "DataFidelity",
    "DenoiserPrior",
    "DiscrepancyChoice",
    "DouglasRachford",
    "GaussianFidelity",
    "Inversion",
    "LearnedPrior",
    "Method",
    "PoissonFidelity",
    "PreimageDescent",
    "Prior",
    "ProximalGradient",
    "ProximalNetwork",
    "ProximalPoint",
    "QuadraticNetwork",
    "QuadraticPrior",
    "Reconstruction",
    "RelaxedPrior",
    "RescaledPrior",
    "SoftThreshold",
    "StrengthenedPrior",
    "TotalVariation",
    "discrepancy_weight",
    "gaussian_field_precision",
    "identity_precision",
    "invert_strength",
    "reconstruct",
    "smoothness_precision",
    "tikhonov",
]
