"""Settings with which tests train the mesh morphing Gaussian process in a second, and parts that files share."""

from __future__ import annotations

from functools import cache

import pytest
from mmgp_parts import arches

from sciml.learners.mmgp import MMGPConfig
from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig

QUICK = GaussianProcessConfig(restarts=1, max_iterations=60)
CONFIG = MMGPConfig(gaussian_processes=QUICK, shape_energy=1e-2, heavy_tailed=(), scalar_transforms="none")

#: A `pytestmark` for files whose parts look odd on purpose.
NO_WARNINGS_OF_OURS = pytest.mark.filterwarnings("ignore::sciml.learners.mmgp.MMGPWarning")


@cache
def training_parts(count):
    """The first parts of one sequence; not to be changed."""
    return tuple(arches(count, seed=1))


@cache
def unseen_parts(count):
    """The first parts of another one."""
    return tuple(arches(count, seed=2))
