"""How Gaussian processes are fitted: restarts, bounds, and where the exact posterior gives way to inducing points."""

from __future__ import annotations

from dataclasses import dataclass, field

from sciml.errors import ConfigurationError
from sciml.inference.limits import require_at_least, require_positive

__all__ = ["GaussianProcessConfig", "InducingConfig"]


@dataclass(frozen=True)
class InducingConfig:
    """The variational approximation for many samples (Hensman et al. 2013, "Gaussian processes for big data").

    Parameters
    ----------
    points
        Inducing points, placed by k-means and then moved by the optimiser.
    steps
        Of Adam.
    batch_size
        Samples a step.
    learning_rate
        Of every step.
    columns
        Output columns that are fitted at a time: memory grows with it.
    """

    points: int = 256
    steps: int = 300
    batch_size: int = 1024
    learning_rate: float = 1e-2
    columns: int = 16

    def __post_init__(self) -> None:
        require_at_least(1, points=self.points, batch_size=self.batch_size, columns=self.columns)
        require_at_least(0, steps=self.steps)
        require_positive(learning_rate=self.learning_rate)


@dataclass(frozen=True)
class GaussianProcessConfig:
    """Matérn-5/2 kernels with one length scale an input, in standardised inputs and outputs.

    Parameters
    ----------
    restarts
        Starts of the search for every kernel: √d, 1 and 1e-4 for length scales, signal and noise variance, then
        random ones, the same for every kernel.
    rounds, margin
        After each of these numbers of iterations, a start goes on only if it is not more than ``margin`` nats behind
        its kernel's best: successive halving (Jamieson & Talwalkar 2016), but by value. To keep the best third
        whatever its lead is faster still, but lost up to 6 nats on one output in twenty; this rule lost at most
        0.003 nats on a hundred (measured). Without rounds every start runs to its end.
    max_iterations
        Of the last round.
    tolerance
        A search has converged when no component of the projected gradient exceeds it (nats per unit of the logarithm
        of a hyper-parameter), or a step gains less than rounding allows to tell.
    length_scale_bounds, signal_bounds, noise_bounds
        Bounds of the length scales and of the two variances.
    largest_exact
        With more samples than this, inducing points carry the posterior: one search step of the exact likelihood
        takes time ∝ n³, and the factors kept for predictions 8 n² bytes a kernel.
    inducing
        The approximation then used.

    Raises
    ------
    ConfigurationError
        If a number is out of its range.

    Examples
    --------
    >>> GaussianProcessConfig(restarts=4, rounds=()).rounds
    ()
    """

    restarts: int = 4
    rounds: tuple[int, ...] = (10, 15, 20)
    margin: float = 3.0
    max_iterations: int = 200
    tolerance: float = 1e-3
    length_scale_bounds: tuple[float, float] = (0.05, 300.0)
    signal_bounds: tuple[float, float] = (1e-3, 1e4)
    noise_bounds: tuple[float, float] = (1e-8, 1.0)
    largest_exact: int = 2000
    inducing: InducingConfig = field(default_factory=InducingConfig)

    def __post_init__(self) -> None:
        require_at_least(1, restarts=self.restarts, max_iterations=self.max_iterations)
        require_at_least(1, **{f"rounds[{i}]": steps for i, steps in enumerate(self.rounds)})
        require_at_least(0, margin=self.margin)
        require_at_least(2, largest_exact=self.largest_exact)
        require_positive(tolerance=self.tolerance)
        for name in ("length_scale_bounds", "signal_bounds", "noise_bounds"):
            low, high = getattr(self, name)
            if not 0 < low < high < float("inf"):
                raise ConfigurationError(f"{name} = {low, high}: two positive finite numbers, ascending, are expected.")
