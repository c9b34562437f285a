"""A cheap family of parts with exact fields: an arch over a square, whose height and lean are only in the mesh."""

from __future__ import annotations

import numpy as np

from meshes import Mesh, structured_grid, to_simplices

CORNERS = ("foot", "toe", "right", "left")


def arch(rise, lean, load, cells=(10, 8), seed=0, jitter=0.2):
    """[0, 1] × [0, 1 + rise sin(π x)], sheared by lean · y, with randomly jittered and renumbered nodes.

    Fields: ``w`` is smooth in place and parameters, ``s`` has a peak at the crown whose height is the scalar ``peak``.
    """
    rng = np.random.default_rng(seed)
    nx, ny = cells
    grid = structured_grid(np.linspace(0, 1, nx + 1), np.linspace(0, 1, ny + 1))
    X = np.array(grid.points)
    inside = ((X > 1e-9) & (X < 1 - 1e-9)).all(axis=1)
    X[inside] += jitter * (rng.random((int(inside.sum()), 2)) - 0.5) / np.array(cells)
    return finished(to_simplices(grid).cells["triangle"], X, rise, lean, load, rng)


def finished(triangles, X, rise, lean, load, rng):
    x, y = placed(X, rise, lean)
    order = rng.permutation(len(X))
    number = np.argsort(order)
    triangles = number[triangles][rng.permutation(len(triangles))]
    points = np.stack([x, y], axis=1)[order]
    corners = [[0, 0], [1, 0], [1, 1], [0, 1]]
    nodes = {
        name: [int(number[int(np.argmin(((X - corner) ** 2).sum(axis=1)))])]
        for name, corner in zip(CORNERS, corners, strict=True)
    }
    w, s, peak = fields(X[order], rise, lean, load)
    return Mesh(
        points,
        {"triangle": triangles},
        {"w": w, "s": s},
        global_data={"load": load, "peak": peak, "rise": rise},
        node_sets=nodes,
    )


def placed(X, rise, lean):
    y = X[:, 1] * (1 + rise * np.sin(np.pi * X[:, 0]))
    return X[:, 0] + lean * y, y


def fields(X, rise, lean, load):
    x, y = placed(X, rise, lean)
    w = load * (x**2 + 0.5 * np.cos(2 * y) * (1 + lean))
    distance = (X[:, 0] - 0.5) ** 2 + (X[:, 1] - 1) ** 2
    peak = load * (1 + rise) ** 2
    return w, peak / (1 + 10 * distance), peak


def arches(count, seed=0, **settings):
    """Parts with drawn shapes and loads, node counts and numberings."""
    rng = np.random.default_rng(seed)
    parts = []
    for i in range(count):
        rise, lean, load = rng.uniform(0.0, 0.5), rng.uniform(-0.2, 0.2), rng.uniform(1.0, 2.0)
        cells = (int(rng.integers(9, 13)), int(rng.integers(7, 11)))
        parts.append(arch(rise, lean, load, settings.get("cells", cells), seed=1000 * seed + i))
    return parts


NAMES = {"fields": ("w", "s"), "input_scalars": ("load",), "output_scalars": ("peak",), "landmarks": CORNERS}


def rrmse(predictions, parts, name):
    """√ mean of mean squared errors over largest squared values."""
    terms = [
        np.mean((p.mean[name].numpy() - m.point_data[name]) ** 2) / np.abs(m.point_data[name]).max() ** 2
        for p, m in zip(predictions, parts, strict=True)
    ]
    return float(np.sqrt(np.mean(terms)))


def coverage(predictions, parts, name):
    """Share of nodes within 1.96 standard deviations."""
    inside = [
        np.abs(p.mean[name].numpy() - m.point_data[name]) <= 1.96 * p.std[name].numpy()
        for p, m in zip(predictions, parts, strict=True)
    ]
    return float(np.concatenate(inside).mean())
