"""Darcy flow at the published resolutions and sample counts: how far a budget reaches, and what all of it costs."""

from __future__ import annotations

import dataclasses
from typing import Any

from parts.contenders import L2, Case, Contender, data_of, trained
from parts.operator_comparison import H1
from parts.training_script import Session

__all__ = ["published"]

EPOCHS = 500
BATCH = 8
SOURCE = "MgNO (He, Liu, Xu 2024), 500 epochs on a GPU"
# Relative L² and H¹ in per cent, as published.
NUMBERS = {
    "rough": {"FNO": (1.613, 7.516), "MgNO": (0.339, 1.380)},
    "smooth": {"FNO": (0.684, 2.583), "MgNO": (0.153, 0.711)},
}
RESOLUTIONS = {"rough": (256, (1280, 112)), "smooth": (211, (1000, 100))}
LEARNERS = {
    "mgno": Contender("mgno", {"levels": "11 11 11 20", "fit": "pad"}),
    "mgno-data": Contender("mgno-data", {"levels": "11 11 11 11 20", "fit": "pad"}),
    "mgno-published": Contender("mgno-published", {"levels": "10 10 10 10 10 20", "fit": "pad"}),
}


def published(session: Session) -> None:
    """One table of both laws; figures of the learner with the equation inside beside the published ones."""
    record, scale, work = session.record, session.scale, session.work
    table: list[list[Any]] = []
    for law, (resolution, samples) in RESOLUTIONS.items():
        settings = {"law": law, "resolution": resolution}
        case = Case(f"published_{law}", "darcy", settings, samples, {"mgno": LEARNERS}, {"resolution": 64})
        large = scale if scale.small else dataclasses.replace(scale, budget=session.published_budget)
        data = data_of(case, large)
        for name, numbers in NUMBERS[law].items():
            table.append([f"{law}: {name}, published", *numbers, EPOCHS, ""])
        for label, contender in LEARNERS.items():
            _, metrics = trained(case, large, label, contender, scale.seeds[0], data, work)
            epochs = metrics["train_steps"] * BATCH / data.train.count
            hours = large.budget / epochs * EPOCHS / 3600
            table.append([f"{law}: {label}, {large.budget:g} s", 100 * metrics[L2], 100 * metrics[H1], epochs, hours])
            record.figure(
                f"darcy_{law}.{label.replace('-', '_')}.relative_l2.published_resolution",
                [metrics[L2]],
                seeds=[scale.seeds[0]],
                unit="1",
                budget_s=large.budget,
                published=NUMBERS[law]["MgNO"][0] / 100,
                published_source=SOURCE,
            )
    sizes = "; ".join(f"{law} {n}², {m[0]} training and {m[1]} test samples" for law, (n, m) in RESOLUTIONS.items())
    caption = (
        f"{sizes}; one seed, one thread. `mgno-published` is the published network. The last column extrapolates what "
        f"{EPOCHS} epochs would take on this machine. The published H¹ is the Fourier norm of the paper's code, ours "
        "the finite-difference norm with the boundary included: these two columns are not the same quantity."
    )
    record.table("published", ["method", "L² %", "H¹ %", "epochs", f"hours for {EPOCHS} epochs"], table, caption)
