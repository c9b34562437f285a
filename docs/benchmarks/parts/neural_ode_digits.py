"""Digits classified by a neural differential equation, vanilla and with every penalty on its dynamics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parts.record import at_most
from parts.training_script import Session
from sciml.learners.neural_ode import IController, ODESolution, Regularizer, odesolve
from sciml.learners.neural_ode.schedules import ConstantSchedule, ExponentialSchedule
from sciml.learners.trajectories.penalties import PENALTIES

__all__ = ["digits"]

TOLERANCE, LEARNING_RATE, BATCH, EPOCHS, TRAINING = 1e-6, 3e-3, 128, 25, 1297
#: The one that the figures are of, and what stands beside it.
OURS = "error"
BESIDE = ("error-mean", "error-square", "stiffness", "error-stiffness", "local-error", "kinetic", "jacobian", "taylor2")
#: By the publications for a loss of this kind; elsewhere the usual ones.
WEIGHTS = {"error": (3.0, 0.3), "error-mean": (100.0, 10.0)}
VANILLA = "vanilla"


@dataclass(frozen=True)
class Images:
    """Pixels ``(n, 64)`` in [0, 1] and classes ``(n,)``."""

    pixels: Tensor
    classes: Tensor


class Classifier(nn.Module):
    """z(0) = pixels, dz/dt = W₂[tanh(W₁[z, t] + b₁), t] + b₂, classes by a linear map of z(1)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.readout = nn.Linear(65, 64), nn.Linear(65, 64), nn.Linear(64, 10)

    def dynamics(self, t: Tensor, z: Tensor) -> Tensor:
        at = t[:, None]
        return self.second(torch.cat([torch.tanh(self.first(torch.cat([z, at], 1))), at], 1))

    def solve(self, pixels: Tensor, **options: Any) -> ODESolution:
        ends = torch.tensor([0.0, 1.0])
        solver: dict[str, Any] = {"rtol": TOLERANCE, "atol": TOLERANCE, "mode": "shared", "controller": IController()}
        return odesolve(self.dynamics, pixels, ends, **solver, **options)


def digits(session: Session) -> None:
    """Accuracy, evaluations by SciPy's RK45 at the same tolerance, and the processor time of training."""
    torch.set_num_threads(1)
    small = session.scale.small
    names = (VANILLA, OURS) if small else (VANILLA, OURS, *BESIDE)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    _train(Classifier(), OURS, _split(0)[0], 1, torch.Generator().manual_seed(0))  # first calls are slow
    for seed in session.scale.seeds:
        train, test = _split(seed)
        for name in names:
            found[name].append(_measured(name, train, test, seed, 1 if small else EPOCHS))
            print(f"digits seed {seed} {name}: {found[name][-1]}", flush=True)
    _write(session, found)


def _split(seed: int) -> tuple[Images, Images]:
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels, classes = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
    train, test = order[:TRAINING], order[TRAINING:]
    return Images(pixels[train], classes[train]), Images(pixels[test], classes[test])


def _measured(name: str, train: Images, test: Images, seed: int, epochs: int) -> dict[str, float]:
    torch.manual_seed(seed)
    model = Classifier()
    began = time.process_time()
    _train(model, name, train, epochs, torch.Generator().manual_seed(seed))
    seconds = time.process_time() - began
    with torch.no_grad():
        solution = model.solve(test.pixels)
        right = (model.readout(solution.ys[-1]).argmax(1) == test.classes).float().mean()
    return {
        "accuracy": 100 * float(right),
        "evaluations": float(solution.stats.nfe[0]),
        "by_rk45": float(_calls_of_rk45(model, test.pixels)),
        "seconds": seconds,
    }


def _train(model: Classifier, name: str, train: Images, epochs: int, generator: torch.Generator) -> None:
    """The same batches whatever the penalty."""
    penalty = PENALTIES.get(name)
    regularizer: Regularizer | None = None if penalty is None else penalty.make(generator)
    start, end = (0.0, 0.0) if penalty is None else WEIGHTS.get(name, penalty.weight)
    schedule = ConstantSchedule(0.0) if penalty is None else ExponentialSchedule(start, end, total=epochs)
    options: dict[str, Any] = {}
    if penalty is not None and regularizer is not None:
        options = {"record": penalty.record, "integrals": penalty.carried(regularizer)}
    batches = torch.Generator().manual_seed(generator.initial_seed())
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    for epoch in range(epochs):
        for rows in torch.randperm(len(train.pixels), generator=batches).split(BATCH):
            optimizer.zero_grad()
            solution = model.solve(train.pixels[rows], **options)
            loss = nn.functional.cross_entropy(model.readout(solution.ys[-1]), train.classes[rows])
            if regularizer is not None:
                loss = loss + schedule(epoch) * regularizer(solution)
            loss.backward()
            optimizer.step()


@torch.no_grad()
def _calls_of_rk45(model: Classifier, pixels: Tensor) -> int:
    """Evaluations of the test set as one system, in double precision, by a solver that is not ours."""
    from scipy.integrate import solve_ivp

    double = Classifier().double()
    double.load_state_dict(model.state_dict())
    shape = pixels.shape

    def slope(t: float, z: np.ndarray) -> np.ndarray:
        at = torch.full((shape[0],), t, dtype=torch.float64)
        answer: np.ndarray = double.dynamics(at, torch.from_numpy(z).reshape(shape)).numpy().ravel()
        return answer

    start = pixels.double().numpy().ravel()
    return int(solve_ivp(slope, (0.0, 1.0), start, method="RK45", rtol=TOLERANCE, atol=TOLERANCE).nfev)


def _write(session: Session, found: dict[str, list[dict[str, float]]]) -> None:
    record, seeds = session.record, list(session.scale.seeds)
    vanilla = found[VANILLA]

    def ratios(name: str, what: str) -> list[float]:
        return [one[what] / other[what] for one, other in zip(found[name], vanilla, strict=True)]

    rows = []
    for name, runs in found.items():
        numbers = [_spread([run[what] for run in runs]) for what in ("accuracy", "by_rk45", "evaluations", "seconds")]
        rows.append([name, *numbers, fmean(ratios(name, "by_rk45")), fmean(ratios(name, "seconds"))])
    columns = ["penalty", "accuracy %", "evaluations (RK45)", "evaluations (Tsit5)", "training s"]
    caption = (
        f"{TRAINING} training and 500 test images (another split for every seed), {EPOCHS} epochs of Adam, tolerance "
        f"{TOLERANCE:g}, steps shared by a batch with integral control; mean ± standard deviation over seeds "
        f"{', '.join(map(str, seeds))}. Evaluations of the whole test set as one system, by SciPy's RK45 in double "
        "precision and by our Tsit5 in single; seconds of one processor; ratios to vanilla of the same seed."
    )
    record.table("digits", [*columns, "evaluations / vanilla", "time / vanilla"], rows, caption)
    drops = [one["accuracy"] - other["accuracy"] for one, other in zip(vanilla, found[OURS], strict=True)]
    facts: dict[str, Any] = {"seeds": seeds, "unit": "1"}
    name = "digits.regularised_over_vanilla"
    record.figure(f"{name}.evaluations", ratios(OURS, "by_rk45"), bar=at_most(0.6), note="by SciPy's RK45", **facts)
    record.figure("digits.accuracy_drop_points", drops, bar=at_most(0.5), seeds=seeds, unit="points")
    record.figure(f"{name}.training_time", ratios(OURS, "seconds"), bar=at_most(0.7), **facts)


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")
