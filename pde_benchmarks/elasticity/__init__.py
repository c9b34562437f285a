"""Elastic and elastoplastic parts of varying shape, each sample on its own unstructured mesh."""

from pde_benchmarks.elasticity.blade import TwistedBlade, TwistedBladeAll
from pde_benchmarks.elasticity.bracket import Bracket
from pde_benchmarks.elasticity.perforated import PerforatedPlate
from pde_benchmarks.elasticity.plate import ElasticNotchedPlate, NotchedPlate, NotchedPlateAll
from pde_benchmarks.elasticity.plate_steps import NotchedPlateSteps

__all__ = [
    "Bracket",
    "ElasticNotchedPlate",
    "NotchedPlate",
    "NotchedPlateAll",
    "NotchedPlateSteps",
    "PerforatedPlate",
    "TwistedBlade",
    "TwistedBladeAll",
]
