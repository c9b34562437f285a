"""Cook's membrane: a clamped, tapered sheet under shear; its stress, and where stiffer material would help most.

python examples/cooks_membrane.py
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from meshes import cell_volumes
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    cell_gradients,
    elasticity,
    lame_plane_stress,
    stress,
    traction,
    von_mises,
)
from meshes.generate import structured_grid, to_simplices
from solvers import SuperLU, linear_solve

N = 32


def membrane() -> FunctionSpace:
    """Quadratic triangles on the sheet with corners (0, 0), (48, 44), (48, 60), (0, 44) mm."""
    square = to_simplices(structured_grid(*[np.linspace(0, 1, N + 1)] * 2))
    x, y = square.points.T
    sheet = square.with_points(np.stack([48 * x, 44 * x * (1 - y) + y * (44 + 16 * x)], axis=1))
    return FunctionSpace(sheet, degree=2, components=2)


def main() -> None:
    space = membrane()
    young = torch.ones(space.cell_count, dtype=torch.float64, requires_grad=True)  # N/mm², one a triangle
    moduli = lame_plane_stress(young, 1 / 3)

    clamped, side = DirichletCondition.on(space, "left"), traction(space, "right")
    shear = torch.tensor([0.0, 1 / 16], dtype=torch.float64).repeat(N)  # 1 N over the 16 mm of the right side
    force = side @ shear
    A, b = clamped.eliminate(elasticity(space)(moduli), force)
    u = clamped.extend(linear_solve(A, b, SuperLU()).value)

    # The work of the force falls most where stiffness is added: one adjoint solve gives this for all triangles.
    work = force @ u
    (gradient,) = torch.autograd.grad(work, young)

    displacement = u.detach().unflatten(-1, (-1, 2)).numpy()
    middle = np.linalg.norm(space.nodes - [48.0, 52.0], axis=1).argmin()
    print(f"the middle of the right side rises by {displacement[middle, 1]:.2f} mm (known: 23.96)")

    strains = (cell_gradients(space) @ u.detach()).unflatten(-1, (space.cell_count, 2, 2))
    draw(space, displacement, von_mises(stress(strains, moduli.detach())).numpy(), -gradient.numpy())


def draw(space: FunctionSpace, displacement: np.ndarray, equivalent: np.ndarray, gain: np.ndarray) -> None:
    """The deformed sheet with its stress beside the sheet with its sensitivities."""
    triangles = space.mesh.cells["triangle"]
    bent = space.mesh.points + displacement[: len(space.mesh.points)]
    area = cell_volumes(space.mesh)["triangle"]
    figure, panels = plt.subplots(1, 2, figsize=(9, 5), sharey=True, constrained_layout=True)
    for axes, points, values, title in (
        (panels[0], bent, equivalent, "von Mises stress, N/mm² (deformed)"),
        (panels[1], space.mesh.points, gain / area, "− d(work)/dE per area: where to stiffen"),
    ):
        drawn = axes.tripcolor(*points.T, triangles, facecolors=values, vmax=np.quantile(values, 0.995))
        figure.colorbar(drawn, ax=axes, shrink=0.7)
        axes.set(title=title, aspect="equal", xlabel="x, mm")
    panels[0].set_ylabel("y, mm")
    figure.savefig("cooks_membrane.png", dpi=120)


if __name__ == "__main__":
    main()
