"""Pictures of smoke: one frame, and the figure of a whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pde_benchmarks.smoke import FlowState
from sciml.figures import _finish
from sciml.simulations.journal import Journal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["coloured", "frame_of", "run_figure", "silhouette"]

_SHOWN = 4
_COLOURS = "inferno"
_SOLID = (0.62, 0.66, 0.70)


def frame_of(state: FlowState) -> Tensor:
    """The smoke of the first sample as ``(nx, ny)`` float32: in space, the most that is met along z.

    Examples
    --------
    >>> frame_of(FlowState((torch.zeros(1, 2, 1), torch.zeros(1, 1, 2)), torch.tensor([[[2.0]]])))
    tensor([[2.]])
    """
    if state.density is None:
        return torch.zeros(state.velocity[1].shape[1], state.velocity[0].shape[2])
    first = state.density[0]
    return (first if first.ndim == 2 else first.amax(-1)).to(torch.float32).cpu()


def silhouette(solid: Tensor) -> NDArray[np.bool_]:
    """Solid cells ``(batch, nx, ny[, nz])`` of the first sample, as `frame_of` sees them."""
    first = solid[0]
    return (first if first.ndim == 2 else first.any(-1)).cpu().numpy()


def coloured(frame: Tensor, solid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A frame ``(nx, ny)`` as an image ``(ny, nx, 3)`` with y upwards: smoke glows, solids are grey behind it."""
    from matplotlib import colormaps

    smoke = frame.numpy().clip(0, 1)
    image: NDArray[Any] = colormaps[_COLOURS](smoke)[..., :3]
    behind = np.where(solid, 1 - smoke, 0.0)[..., None]
    image = image * (1 - behind) + np.array(_SOLID) * behind
    return (255 * image.transpose(1, 0, 2)[::-1] + 0.5).astype(np.uint8)


def run_figure(journal: Journal, solid: NDArray[np.bool_], title: str) -> Figure:
    """Four frames, the pressure solver's iterations, the divergence against its tolerance, and where the time went.

    Parameters
    ----------
    journal
        With at least one step and one frame.
    solid
        ``(nx, ny)``.
    title
        Over all.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.6), dpi=120, layout="constrained", facecolor="white")
    figure.suptitle(title)
    halves: Any = figure.subfigures(2, 1)
    above, below = halves
    chosen = np.unique(np.linspace(0, len(journal.frames) - 1, _SHOWN).round().astype(int))
    for axes, k in zip(above.subplots(1, _SHOWN), chosen, strict=False):
        axes.imshow(coloured(journal.frames[k], solid), extent=(0, 1, 0, 1))
        axes.set_title(f"t = {journal.time_of(int(k)):.3g}", fontsize="medium")
    for axes in above.axes:
        axes.set(xticks=[], yticks=[], frame_on=axes.has_data())
    steps = np.arange(1, len(journal.rows) + 1)
    left, middle, right = below.subplots(1, 3)
    left.plot(steps, journal.column("iterations").numpy(), color="#0072B2")
    left.set(xlabel="step", ylabel="iterations of the pressure solver", ylim=(0, None))
    _finish(left, legend=False)
    middle.plot(steps, journal.column("outflow").numpy(), color="#0072B2", label="h max |div u|")
    middle.plot(steps, journal.column("allowed").numpy(), color="#D55E00", linestyle="--", label="tolerance")
    middle.set(xlabel="step", ylabel="unit of velocity", yscale="log")
    _finish(middle)
    seconds = journal.seconds()
    right.barh(list(seconds), list(seconds.values()), color="#009E73")
    right.invert_yaxis()
    right.set(xlabel="time, s")
    return figure
