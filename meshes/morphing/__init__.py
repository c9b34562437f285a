"""Morphing: surfaces flattened onto the unit disc, volumes moved onto a reference shape; folds are found and named."""

from meshes.morphing.circle import arc_parameters, circle_angles, mark_corners, mean_landmark_angles
from meshes.morphing.correspondence import boundary_targets
from meshes.morphing.elastic import ElasticMorphing
from meshes.morphing.embedding import DiscEmbedding, EmbeddedDisc
from meshes.morphing.folds import FoldReport, Morphing, fold_report
from meshes.morphing.harmonic import HarmonicMorphing
from meshes.morphing.kernels import Kernel, Polyharmonic, WendlandC2
from meshes.morphing.radial_basis import RadialBasisMorphing, radial_basis_displacements
from meshes.morphing.surfaces import Surface, surface
from meshes.morphing.tutte import tutte_embedding
from meshes.morphing.weights import Weights, harmonic_weights, mean_value_weights, uniform_weights

__all__ = [
    "DiscEmbedding",
    "ElasticMorphing",
    "EmbeddedDisc",
    "FoldReport",
    "HarmonicMorphing",
    "Kernel",
    "Morphing",
    "Polyharmonic",
    "RadialBasisMorphing",
    "Surface",
    "Weights",
    "WendlandC2",
    "arc_parameters",
    "boundary_targets",
    "circle_angles",
    "fold_report",
    "harmonic_weights",
    "mark_corners",
    "mean_landmark_angles",
    "mean_value_weights",
    "radial_basis_displacements",
    "surface",
    "tutte_embedding",
    "uniform_weights",
]
