"""Errors of fields and scalars predicted on meshes that differ from sample to sample.

Three conventions are shared with `pde_benchmarks.metrics`: everything is computed in float64; a sample whose truth is
zero everywhere has no relative error, is left out of the means of relative errors, and counted as left out; a value
that is not finite is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes import Mesh
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.mesh_problem import MeshProblem

__all__ = ["field_errors", "interval_coverage", "mesh_metrics", "scalar_errors"]

Array = NDArray[Any]


def field_errors(prediction: Sequence[ArrayLike], truth: Sequence[ArrayLike]) -> dict[str, float]:
    """Errors of one nodal field over a test set.

    Parameters
    ----------
    prediction, truth
        One array ``(nodes of the sample,)`` for every sample.

    Returns
    -------
    dict
        ``rrmse``: √(mean over samples of ‖error‖₂² / (N ‖truth‖∞²)), N the sample's number of nodes (Casenave, Staber
        & Roynard 2023, "MMGP"); the largest value in the denominator makes it 2 to 6 times smaller than the next.
        ``relative_l2``: mean over samples of ‖error‖₂ / ‖truth‖₂. ``q2``: 1 − Σ error² / Σ (truth − mean)² over all
        nodes of all samples. ``left_out``: samples whose truth is zero everywhere, which count in ``q2`` only.

    Raises
    ------
    ProblemError
        No samples, shapes that differ, or values that are not finite.

    Examples
    --------
    >>> errors = field_errors([[1.0, 2.5], [0.0, 1.0, 1.0]], [[1.0, 2.0], [0.0, 0.0, 0.0]])
    >>> round(errors["rrmse"], 4), errors["left_out"]  # 0.5 / √2 / 2
    (0.1768, 1.0)
    """
    pairs = _pairs(prediction, truth)
    relative = [(p - t, t) for p, t in pairs if t.any()]
    squares = [float(np.mean((e / np.abs(t).max()) ** 2)) for e, t in relative]
    ratios = [float(np.linalg.norm(e) / np.linalg.norm(t)) for e, t in relative]
    return {
        "rrmse": math.sqrt(_mean(squares)),
        "relative_l2": _mean(ratios),
        "q2": _q2(*(np.concatenate(side) for side in zip(*pairs, strict=True))),
        "left_out": float(len(pairs) - len(relative)),
    }


def scalar_errors(prediction: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Errors of one scalar ``(samples,)`` over a test set.

    Returns
    -------
    dict
        ``rrmse``: √(mean over samples of error² / truth²). ``q2``: 1 − Σ error² / Σ (truth − mean)²: 1 is perfect, 0 is
        what the mean of the truth would reach. ``left_out``: samples whose truth is zero, which count in ``q2`` only.

    Raises
    ------
    ProblemError
        As `field_errors`.

    Examples
    --------
    >>> scalar_errors([1.1, 2.0, 0.0], [1.0, 2.0, 0.0])["q2"]
    0.995
    """
    ((predicted, true),) = _pairs([prediction], [truth])
    kept = true != 0
    squares = ((predicted[kept] - true[kept]) / true[kept]) ** 2
    return {
        "rrmse": math.sqrt(_mean(squares.tolist())),
        "q2": _q2(predicted, true),
        "left_out": float((~kept).sum()),
    }


def interval_coverage(
    mean: Sequence[ArrayLike], std: Sequence[ArrayLike], truth: Sequence[ArrayLike], level: float = 0.95
) -> float:
    """Share of the nodes at which the truth lies in the central Gaussian interval of probability ``level``.

    The mean over samples of each sample's share, so that fine meshes count no more than coarse ones; for honest error
    bars it is ``level``. Scalars are samples of one node.

    Parameters
    ----------
    mean, std, truth
        One array ``(nodes of the sample,)`` for every sample.

    Raises
    ------
    ProblemError
        As `field_errors`; or a negative deviation, or a level outside of (0, 1).

    Examples
    --------
    >>> interval_coverage([[0.0, 0.0]], [[1.0, 1.0]], [[1.9, 2.0]])
    0.5
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ProblemError(f"coverage of level {level}: expected a probability between 0 and 1.")
    deviations = [s for s, _ in _pairs(std, truth)]
    if any((s < 0).any() for s in deviations):
        raise ProblemError("a standard deviation is negative: expected numbers ≥ 0.")
    half = float(ndtri(0.5 + 0.5 * level))
    errors = [np.abs(m - t) for m, t in _pairs(mean, truth)]
    return _mean([float(np.mean(e <= half * s)) for e, s in zip(errors, deviations, strict=True)])


def mesh_metrics(problem: MeshProblem, prediction: Sequence[Mesh], truth: Sequence[Mesh]) -> dict[str, float]:
    """All errors of a test set: ``metric.name`` for every field and scalar of the problem.

    Parameters
    ----------
    problem
        Says which point fields and which scalars in the global data count.
    prediction, truth
        Meshes with equally many nodes, sample by sample.

    Returns
    -------
    dict
        ``rrmse``, ``relative_l2``, ``q2`` and ``left_out`` of fields, ``rrmse``, ``q2`` and ``left_out`` of scalars.
        A prediction with a point field ``NAME_std`` (or, for scalars, with global data of that name) adds
        ``coverage_95``, if all have it.

    Raises
    ------
    ProblemError
        As `field_errors`, with the name of the field or scalar.
    MeshError
        A mesh has no such field.
    """
    if len(prediction) != len(truth):
        raise ProblemError(f"{len(prediction)} predictions for {len(truth)} samples: expected one for each.")
    result: dict[str, float] = {}
    for name in problem.fields:
        p, t = ([mesh.point_field(name) for mesh in meshes] for meshes in (prediction, truth))
        std = [mesh.point_data[f"{name}_std"] for mesh in prediction if f"{name}_std" in mesh.point_data]
        with _naming(f"field {name!r}"):
            result |= _named(name, field_errors(p, t) | _coverage(p, std, t))
    for name in problem.scalars:
        with _naming(f"scalar {name!r}"):
            p, t = (_numbers(name, meshes) for meshes in (prediction, truth))
            std = [m.global_data[f"{name}_std"].reshape(1) for m in prediction if f"{name}_std" in m.global_data]
            result |= _named(name, scalar_errors(np.concatenate(p), np.concatenate(t)) | _coverage(p, std, t))
    return result


def _coverage(mean: Sequence[Array], std: Sequence[Array], truth: Sequence[Array]) -> dict[str, float]:
    return {"coverage_95": interval_coverage(mean, std, truth)} if len(std) == len(truth) else {}


def _numbers(name: str, meshes: Sequence[Mesh]) -> list[Array]:
    """A scalar of every mesh, ``(1,)`` each."""
    lacking = [i for i, mesh in enumerate(meshes) if name not in mesh.global_data or mesh.global_data[name].size != 1]
    if lacking:
        raise ProblemError(f"mesh {lacking[0]} has no such number in its global data ({len(lacking)} meshes lack it).")
    return [mesh.global_data[name].reshape(1) for mesh in meshes]


def _named(name: str, errors: dict[str, float]) -> dict[str, float]:
    return {f"{metric}.{name}": value for metric, value in errors.items()}


def _pairs(prediction: Sequence[ArrayLike], truth: Sequence[ArrayLike]) -> list[tuple[Array, Array]]:
    """Both in float64, sample by sample, checked."""
    if not len(truth) or len(prediction) != len(truth):
        raise ProblemError(f"{len(prediction)} predictions for {len(truth)} samples: expected one for each, and some.")
    pairs = []
    for i, (p, t) in enumerate(zip(prediction, truth, strict=True)):
        p, t = np.asarray(p, dtype=np.float64), np.asarray(t, dtype=np.float64)
        if p.shape != t.shape or t.ndim != 1 or not t.size:
            raise ProblemError(f"sample {i}: prediction {p.shape} and truth {t.shape}: expected (nodes,) for both.")
        if not (np.isfinite(p).all() and np.isfinite(t).all()):
            raise ProblemError(f"sample {i}: NaN or infinity in prediction or truth: no error can be computed.")
        pairs.append((p, t))
    return pairs


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _q2(prediction: Array, truth: Array) -> float:
    """NaN if the truth never varies."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((prediction - truth) ** 2).sum()) / spread if spread > 0 else math.nan


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Put a name before the message of a `ProblemError`."""
    try:
        yield
    except ProblemError as error:
        raise ProblemError(f"{what}: {error}") from None
