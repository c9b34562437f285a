"""What MMGP is compared with under the same data: the nearest training part, and the recipe of the published code."""

from sciml.learners.mesh_baselines.nearest import NearestPart
from sciml.learners.mesh_baselines.nearest_config import NearestPartConfig
from sciml.learners.mesh_baselines.published import PublishedMMGP, PublishedMMGPConfig

__all__ = ["NearestPart", "NearestPartConfig", "PublishedMMGP", "PublishedMMGPConfig"]
