"""Rows of the mesh benchmark on morphing: a large surface on the disc, and how much the map depends on the mesh."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes import Mesh
from meshes.morphing import (
    DiscEmbedding,
    Weights,
    harmonic_weights,
    mark_corners,
    mean_landmark_angles,
    mean_value_weights,
    uniform_weights,
)
from parts.record import Record, at_most
from parts.timing import interleaved

__all__ = ["measure"]

Array = NDArray[Any]
KINDS: tuple[Weights, ...] = (harmonic_weights, mean_value_weights, uniform_weights)
CORNERS = tuple(f"corner_{i}" for i in range(8))


def measure(record: Record, quick: bool) -> None:
    """Embeddings: folds, accuracy and time of a large one, mesh noise of two meshes of one shape."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        embedding(record, quick)
        mesh_noise(record, quick)
    finally:
        torch.set_num_threads(threads)


def embedding(record: Record, quick: bool) -> None:
    """A notched, curved surface of 20 k nodes: inverted triangles, distance from the circle, seconds."""
    plate = _plate(0.05 if quick else 0.0125, seed=0)
    x, y = plate.points.T
    surface = plate.with_points(np.stack([x, y, 0.3 * np.sin(3 * x) * np.cos(2 * y)], axis=1))
    jobs = {w.__name__: DiscEmbedding(CORNERS, weights=(w,)) for w in KINDS}
    flat = {name: job.apply(surface, throw=False) for name, job in jobs.items()}
    times = interleaved(
        {n: lambda job=job: job.apply(surface, throw=False) for n, job in jobs.items()}, 1 if quick else 5
    )
    rows = [
        [
            name,
            found.folds.count,
            _off_circle(found.mesh, found.boundary),
            found.folds.min_scaled_jacobian,
            min(times[name]),
        ]
        for name, found in flat.items()
    ]
    size = f"{len(surface.points)} nodes, {surface.cell_count} triangles, eight landmarks"
    best = DiscEmbedding(CORNERS).apply(surface, throw=False)
    record.figure(
        "embedding_20k.inverted_triangles",
        float(best.folds.count),
        unit="1",
        bar=at_most(0),
        note=f"{size}; {best.weights}, {', '.join(best.rejected) or 'nothing'} rejected",
    )
    off = _off_circle(best.mesh, best.boundary)
    record.figure("embedding_20k.boundary_off_circle", off, unit="1", bar=at_most(1e-12), note=size)
    record.figure("embedding_20k.seconds", times["harmonic_weights"], timed=True, unit="s", bar=at_most(2.0), note=size)
    columns = ["weights", "inverted triangles", "distance from the circle", "minimal scaled Jacobian", "s"]
    record.table("embedding", columns, rows, f"{size}; one thread, least of interleaved rounds in one process.")


def mesh_noise(record: Record, quick: bool) -> None:
    """Two meshes of one shape: root mean square of x₁(u) − x₂(u) over the disc, by weights."""
    seeds = (0,) if quick else (0, 1, 2)
    sizes = (0.1, 0.07) if quick else (0.045, 0.026)
    noise: dict[str, list[float]] = {weights.__name__: [] for weights in KINDS}
    for seed in seeds:
        pair = [_plate(h, seed=10 * seed + i) for i, h in enumerate(sizes)]
        angles = mean_landmark_angles(pair, CORNERS)
        for weights in KINDS:
            first, second = (_coordinates(mesh, DiscEmbedding(CORNERS, angles, (weights,))) for mesh in pair)
            squares = ((first - second) ** 2).sum(axis=1)
            noise[weights.__name__].append(float(np.sqrt(np.nanmean(squares))))
    uniform = noise["uniform_weights"]
    note = f"notched plate of side 2, h = {sizes[0]} and {sizes[1]}, eight landmarks, {len(seeds)} pairs of meshes"
    for name, facts in (("harmonic", {"bar": at_most(0.2)}), ("mean_value", {})):
        ratios = [ours / theirs for ours, theirs in zip(noise[f"{name}_weights"], uniform, strict=True)]
        figure = f"{name}_over_uniform_embedding.mesh_noise"
        record.figure(figure, ratios, unit="1", seeds=list(seeds), note=note, **facts)
    rows = [[name, float(np.mean(values)), float(np.mean(values) / np.mean(uniform))] for name, values in noise.items()]
    record.table("mesh_noise", ["weights", "rms difference", "over uniform"], rows, f"{note}.")


def _coordinates(mesh: Mesh, embedding: DiscEmbedding) -> Array:
    """The coordinates as fields on the disc, at a grid of its points."""
    from matplotlib.tri import LinearTriInterpolator, Triangulation

    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 120)] * 2), axis=-1).reshape(-1, 2)
    grid = grid[np.linalg.norm(grid, axis=1) < 0.98]
    flat = embedding.apply(mesh).mesh
    disc = Triangulation(*flat.points.T, flat.cells["triangle"])
    fields = [LinearTriInterpolator(disc, values)(*grid.T).filled(np.nan) for values in mesh.points.T]
    return np.stack(fields, axis=1)


def _off_circle(mesh: Mesh, rim: Array) -> float:
    return float(np.abs(np.linalg.norm(mesh.points[rim], axis=1) - 1).max())


def _plate(h: float, seed: int) -> Mesh:
    """[-1, 1]² without two half-discs: triangles of size h at the notches, larger away from them, nodes shuffled."""
    from scipy.spatial import Delaunay

    random = np.random.default_rng(seed)
    rows = np.arange(-1, 1, 0.8 * h)
    x, y = np.meshgrid(rows, rows, indexing="ij")
    inner = np.stack([x + 0.4 * h * (np.arange(len(rows)) % 2), y], axis=-1).reshape(-1, 2)
    inner = inner + random.uniform(-0.2, 0.2, inner.shape) * h
    clear = np.minimum(_clearance(inner), (1 - np.abs(inner)).min(axis=1)) > 0.6 * h
    thinned = random.uniform(size=len(inner)) < 1 - 0.6 * np.clip(_clearance(inner) / 0.5, 0, 1)
    points = np.concatenate([_outline(h), inner[clear & thinned]])
    triangles = Delaunay(points).simplices
    triangles = triangles[_clearance(points[triangles].mean(axis=1)) > 0]
    order = random.permutation(len(points))
    return mark_corners(Mesh(points[order], {"triangle": np.argsort(order)[triangles]}))


def _outline(h: float) -> Array:
    arc = np.linspace(np.pi / 2, -np.pi / 2, round(0.4 * np.pi / h) + 1)
    left = np.stack([-1 + 0.4 * np.cos(arc), 0.1 + 0.4 * np.sin(arc)], axis=1)
    right = -left
    below = [left[-1], (-1.0, -1.0), (1.0, -1.0), right[0]]
    above = [right[-1], (1.0, 1.0), (-1.0, 1.0), left[0]]
    sides = [np.concatenate([_segment(np.array(a), np.array(b), h) for a, b in pairwise(c)]) for c in (below, above)]
    return np.concatenate([left[:-1], sides[0], right[:-1], sides[1]])


def _segment(a: Array, b: Array, h: float) -> Array:
    count = max(1, round(float(np.linalg.norm(b - a)) / h))
    return np.asarray(a + np.arange(count)[:, None] / count * (b - a))


def _clearance(x: Array) -> Array:
    """Distance from the notches."""
    return np.minimum(np.hypot(x[:, 0] + 1, x[:, 1] - 0.1), np.hypot(x[:, 0] - 1, x[:, 1] + 0.1)) - 0.4
