"""The part of ``sciml predict`` for fields on grids: predict, and on demand certify and polish, or enforce."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from pde_benchmarks.problem import Batch, Problem
    from sciml.enforce import Enforced
    from sciml.learner import Learner, Prediction

__all__ = ["predict_on_grids"]

#: An estimated error this many times that of before is called worse.
WORSE = 1.01


def predict_on_grids(
    run: Path,
    input_file: Path,
    output: Path,
    input_name: str | None,
    alignment: str | None,
    *,
    certify: float | None,
    enforce: bool,
    lower: float | None,
) -> None:
    """Write the outputs of every input field in a file.

    Raises
    ------
    ConfigurationError
        Options that do not go together, or that the problem has no equation for.
    DatasetError, RunError, LearnerError
        The file or the run cannot be used.
    """
    from sciml.errors import about
    from sciml.runs import Run

    output = _checked(output, input_file)
    learner = Run.open(run).load_learner()
    _require_possible(learner.problem, output, certify, enforce, lower)
    _place(learner, alignment)
    inputs = _read(learner.problem, input_file, input_name)
    with about(input_file):
        if enforce:
            arrays = _enforced(learner, inputs, lower)
        elif certify is not None:
            arrays = _certified(learner, inputs, certify)
        else:
            prediction = learner.predict(inputs)
            arrays = dict(prediction.mean)
            arrays |= {f"{name}_std": field for name, field in (prediction.std or {}).items()}
    _write(output, arrays, inputs.count)


def _checked(output: Path, input_file: Path) -> Path:
    """The file to write, with the ending of the input if it has none."""
    from sciml.commands.output_files import check_output
    from sciml.errors import ConfigurationError
    from sciml.files import ARRAY_FORMATS

    if not output.suffix:
        output = output.with_name(output.name + input_file.suffix)
    if output.suffix not in ARRAY_FORMATS:
        raise ConfigurationError(f"--output {output}: the name must end in one of {', '.join(ARRAY_FORMATS)}.")
    # A directory is read for the pair of arrays in it.
    check_output(output, *(input_file.iterdir() if input_file.is_dir() else [input_file]))
    return output


def _place(learner: Learner, alignment: str | None) -> None:
    """Tell a learner where the grid points of the file lie, if the user says so."""
    from sciml.errors import ConfigurationError
    from sciml.learners.grid_learner import GridLearner

    if alignment is None:
        return
    if not isinstance(learner, GridLearner):
        raise ConfigurationError(
            f"--alignment {alignment}: {learner.name} reads the grid of its training alone; leave it out."
        )
    learner.place(alignment)


def _read(problem: Problem, input_file: Path, input_name: str | None) -> Batch:
    """The input fields of a file, checked and summarised on the terminal."""
    from pde_benchmarks.datasets import read_inputs, summary
    from sciml.commands.console import show
    from sciml.experiments import fields_of

    found = read_inputs(input_file, inputs=input_name, expected=problem)
    for name, field in found.items():
        show(str(summary("input", name, field)))
    inputs = fields_of(problem, found, problem.inputs, str(input_file))
    problem.check(inputs, str(input_file))
    return inputs


def _write(output: Path, arrays: dict[str, Tensor], count: int) -> None:
    from sciml.commands.console import Terminal, show
    from sciml.files import write_arrays
    from sciml.report import counted

    replaced = output.exists()
    write_arrays(output, arrays)
    if replaced:
        Terminal().say(f"replaced {output}.")
    written = list(arrays)[:1] if output.suffix == ".npy" else list(arrays)
    show(f"{counted(count, 'sample')} in {output}: {', '.join(written)}")


def _require_possible(
    problem: Problem, output: Path, certify: float | None, enforce: bool, lower: float | None
) -> None:
    """Refuse options that do not go together, or that the problem has no equation for."""
    from sciml.certify import require_certifiable
    from sciml.enforce import require_enforceable
    from sciml.errors import ConfigurationError

    if enforce and certify is not None:
        raise ConfigurationError("--certify and --enforce both decide what is written: give one of them.")
    if lower is not None and not enforce:
        raise ConfigurationError(f"--lower {lower:g} is a part of --enforce: give both.")
    if enforce:
        require_enforceable(problem)
    elif certify is not None:
        require_certifiable(problem, certify)
    else:
        return
    if output.suffix == ".npy":
        raise ConfigurationError(
            f"--output {output}: .npy holds one array, --certify and --enforce write several: use .npz or .h5."
        )


def _certified(learner: Learner, inputs: Batch, rtol: float) -> dict[str, Tensor]:
    """Polished fields under their own names, then the prediction and what its certificate says."""
    import torch

    from sciml.certify import certify
    from sciml.commands.console import show, table

    # The equation is checked in double precision: single could not even represent a residual of 1e-8.
    inputs = inputs.to(dtype=torch.float64)
    answer = learner.predict(inputs)
    prediction = answer.mean
    certificate = certify(learner.problem, inputs, prediction, rtol)
    numbers = {
        "residual": certificate.residual,
        "estimated_error": certificate.estimated_error,
        "polished_residual": certificate.polished_residual,
        "iterations": certificate.iterations,
        "iterations_from_zero": certificate.iterations_from_zero,
    }
    columns = {name: values.to(torch.float64).flatten() for name, values in numbers.items()}
    rows = [[name, v.quantile(0.5).item(), v.min().item(), v.max().item()] for name, v in columns.items()]
    table("certificate", ("per sample", "median", "smallest", "largest"), rows)
    done, zero = columns["iterations"].sum().item(), columns["iterations_from_zero"].sum().item()
    show(f"polishing took {done:.0f} iterations, {zero:.0f} from zero ({1 - done / max(zero, 1):.0%} saved).")
    return {**certificate.polished, **_beside(answer), **numbers}


def _enforced(learner: Learner, inputs: Batch, lower: float | None) -> dict[str, Tensor]:
    """Constrained fields under their own names, then the prediction and what was done to it."""
    from pde_benchmarks.conservation import ConservingProblem
    from sciml.commands.console import show
    from sciml.enforce import Kind, enforce
    from sciml.report import counted

    problem, answer = learner.problem, learner.predict(inputs)
    laws = problem.conserved if isinstance(problem, ConservingProblem) else None
    found = enforce(problem, inputs, answer.mean, laws=laws, lower=lower)
    shares = ", ".join(f"{int((found.kind == kind).sum())} {kind.name.lower()}" for kind in reversed(Kind))
    before, after = found.raw_error.median(), found.estimated_error.median()
    show(
        f"{counted(inputs.count, 'sample')}: {shares}; median estimated error {before:.2%} before, {after:.2%} after, "
        "against the discrete solution."
    )
    _warn_of_worse(found, lower)
    numbers = {
        "kind": found.kind,
        "status": found.status,
        "estimated_error": found.estimated_error,
        "estimated_error_prediction": found.raw_error,
    }
    numbers |= {f"estimated_error_{kind.name.lower()}": found.candidate_errors[:, kind] for kind in Kind}
    return {**found.outputs, **_beside(answer), **numbers}


def _warn_of_worse(found: Enforced, lower: float | None) -> None:
    """Say which samples the equation now finds worse than the prediction: a bound or a law is wrong."""
    from sciml.commands.console import Terminal
    from sciml.report import counted

    # What rounding and laws of the discrete equation move is far below.
    worse = (found.estimated_error > WORSE * found.raw_error).nonzero().flatten().tolist()
    if not worse:
        return
    first = worse[0]
    before, after = float(found.raw_error[first]), float(found.estimated_error[first])
    cause = "a conservation law" if lower is None else f"the bound --lower {lower:g}"
    Terminal().say(
        f"warning: {counted(len(worse), 'sample')} of {len(found.kind)} became worse by the equation's estimate "
        f"(first: sample {first}, {before:.2%} before, {after:.2%} after): {cause} does not hold for the solution; "
        "leave it out or correct it."
    )


def _beside(answer: Prediction) -> dict[str, Tensor]:
    """The raw prediction, where another field has the output's own name."""
    raw = {f"{name}_prediction": field for name, field in answer.mean.items()}
    return raw | {f"{name}_prediction_std": field for name, field in (answer.std or {}).items()}
