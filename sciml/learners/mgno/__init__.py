"""MgNO: multigrid neural operator (He, Liu, Xu, ICLR 2024, arXiv 2310.19809)."""

from sciml.learners.mgno.learner import DataMgNO, DataMgNOConfig, MgNO, MgNOConfig, PublishedMgNO, PublishedMgNOConfig
from sciml.learners.mgno.scale_learner import ScaleConsistentMgNO, ScaleConsistentMgNOConfig

__all__ = [
    "DataMgNO",
    "DataMgNOConfig",
    "MgNO",
    "MgNOConfig",
    "PublishedMgNO",
    "PublishedMgNOConfig",
    "ScaleConsistentMgNO",
    "ScaleConsistentMgNOConfig",
]
