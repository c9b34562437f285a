"""MMGP: mesh morphing Gaussian process (Casenave, Staber, Roynard, NeurIPS 2023, arXiv 2305.12871)."""

from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.faults import MMGPWarning
from sciml.learners.mmgp.learner import MMGP
from sciml.learners.mmgp.morphings import (
    BoundaryMorphing,
    DiscMorphing,
    FacesMorphing,
    GivenMorphing,
    Morphing,
    SameCells,
)
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.prediction import MeshPrediction
from sciml.learners.mmgp.report import FitReport
from sciml.learners.mmgp.symmetry import Mirror
from sciml.learners.mmgp.trust import TrustScore

__all__ = [
    "MMGP",
    "BoundaryMorphing",
    "DiscMorphing",
    "FacesMorphing",
    "FitReport",
    "GivenMorphing",
    "MMGPConfig",
    "MMGPWarning",
    "MeshPrediction",
    "Mirror",
    "Morphing",
    "PartFamily",
    "SameCells",
    "TrustScore",
]
