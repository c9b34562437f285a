"""Train the numbers of the learned multigrid cycle that come with the package, and write them as JSON.

``python examples/train_pressure_cycle.py 3 coefficients_3d.json`` takes about two minutes on one core: random obstacles
on 32³ cells (64² in two dimensions), six steps of conjugate gradients differentiated, no solutions. The same seed gives
the same numbers up to rounding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.pressure import PressurePoisson
from pde_benchmarks.problem import Batch
from sciml.learners.conjugate_directions import LearnedCycle
from sciml.training import Trainer, TrainingConfig

SETTINGS = {2: {"resolution": 64, "masks": 256, "batch": 8}, 3: {"resolution": 32, "masks": 128, "batch": 2}}
STEPS, VALIDATION = 120, 8


def train(dimension: int, seed: int) -> dict[str, object]:
    """The trained numbers, and how they were found."""
    settings = SETTINGS[dimension]
    problem = PressurePoisson(settings["resolution"], dimension)
    learner = LearnedCycle.from_problem(problem, seed=seed)
    training, validation = (
        problem.sample(count, torch.Generator().manual_seed(seed + offset))
        for count, offset in ((settings["masks"], 1_000), (VALIDATION, 2_000))
    )
    config = TrainingConfig(
        **{**learner.training_defaults, "batch_size": settings["batch"]}, steps=STEPS, validations=4, seed=seed
    )
    unsolved = [Dataset(problem, inputs, _no_solutions(inputs), "cells") for inputs in (training, validation)]
    history = learner.fit(*unsolved, Trainer(config))
    before, after = history.rows[0]["train_loss"], history.rows[-1]["validation_error"]
    print(f"{dimension}-D: log factor a step {before:.3f} at first; factor {after:.4f} on unseen obstacles")
    return {
        "schema": 1,
        "dimension": dimension,
        "seed": seed,
        "steps": STEPS,
        **settings,
        "factor_per_step": after,
        "torch": torch.__version__.split("+")[0],
        "levels": learner.module.exported(),
    }


def _no_solutions(inputs: Batch) -> Batch:
    """Training reads none: zeros stand in."""
    return Batch({"pressure": torch.zeros_like(inputs["rhs"])})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dimension", type=int, choices=(2, 3))
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.write_text(json.dumps(train(given.dimension, given.seed), indent=1) + "\n", encoding="utf-8")
