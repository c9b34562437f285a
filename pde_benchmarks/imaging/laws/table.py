"""The laws by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Generator, Tensor

from pde_benchmarks.imaging.laws.ellipses import draw_ellipses
from pde_benchmarks.imaging.laws.permeability import draw_permeability
from pde_benchmarks.imaging.laws.signals import draw_signals
from pde_benchmarks.imaging.laws.sources import draw_sources

__all__ = ["LAWS", "Law"]


class Law(NamedTuple):
    """How fields are drawn, ``draw(count, shape, generator)``, and on how many axes."""

    draw: Callable[[int, tuple[int, ...], Generator], Tensor]
    dim: int


LAWS = {
    "ellipses": Law(draw_ellipses, 2),
    "sources": Law(draw_sources, 2),
    "permeability": Law(draw_permeability, 2),
    "signals": Law(draw_signals, 1),
}
