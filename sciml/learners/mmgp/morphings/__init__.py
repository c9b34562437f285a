"""Morphings onto a reference shape, each a small frozen object that another may replace."""

from sciml.learners.mmgp.morphed import Morphed, Morphing
from sciml.learners.mmgp.morphings.boundary import BoundaryMorphing
from sciml.learners.mmgp.morphings.disc import DiscMorphing
from sciml.learners.mmgp.morphings.faces import FacesMorphing
from sciml.learners.mmgp.morphings.given import GivenMorphing, SameCells
from sciml.learners.mmgp.morphings.naming import MORPHINGS, decode_morphing, encode_morphing, named_morphing

__all__ = [
    "MORPHINGS",
    "BoundaryMorphing",
    "DiscMorphing",
    "FacesMorphing",
    "GivenMorphing",
    "Morphed",
    "Morphing",
    "SameCells",
    "decode_morphing",
    "encode_morphing",
    "named_morphing",
]
