"""``sciml predict``: predict fields from a file, and on demand certify and polish them, or enforce constraints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.commands.options import Alignment

if TYPE_CHECKING:
    from torch import Tensor

    from pde_benchmarks.problem import Batch, Problem
    from sciml.learner import Learner, Prediction

__all__ = ["predict"]


def predict(
    run: Annotated[Path, typer.Argument(help="run directory")],
    input_file: Annotated[Path, typer.Option("--input", help="file of input fields, or a mesh")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="file to write: .npz, .npy, .h5, .pt or .mat; of a mesh .vtu, …; the input's if no ending",
        ),
    ],
    certify: Annotated[
        float | None, typer.Option(help="polish the prediction to this relative residual, e.g. 1e-8")
    ] = None,
    enforce: Annotated[
        bool,
        typer.Option("--enforce", help="combine the prediction with closed forms so that the equation holds better"),
    ] = False,
    lower: Annotated[float | None, typer.Option(help="with --enforce: least value of the output, e.g. 0")] = None,
    input_name: Annotated[str | None, typer.Option(help="name of the input array in the file")] = None,
    scalars: Annotated[
        str | None, typer.Option(help="of a mesh: its given scalars, e.g. 'pressure=40,E=2e5', or a CSV file")
    ] = None,
    alignment: Annotated[Alignment | None, typer.Option(help="where the grid points lie")] = None,
) -> None:
    """Predict the outputs of every input field in a file.

    An output is written under its own name, e.g. solution. With --certify that is the answer polished by the problem's
    own equation; the raw prediction (solution_prediction), its residual and its estimated error are written beside it.
    With --enforce that is the best of the prediction, its correction and a field that the equation constrains, by the
    error that the equation estimates; conservation laws of the problem are satisfied. The equation may be nonlinear.
    Arrays are (samples, channels, *grid).
    """
    from pde_benchmarks.datasets import read_inputs, summary
    from sciml.commands.console import Terminal, show
    from sciml.commands.output_files import check_output
    from sciml.commands.predict_on_meshes import predict_on_meshes
    from sciml.errors import ConfigurationError, about
    from sciml.experiments import fields_of
    from sciml.files import ARRAY_FORMATS, write_arrays
    from sciml.learners.grid_learner import GridLearner
    from sciml.mesh_learner import is_mesh_learner
    from sciml.report import counted
    from sciml.runs import Run

    if is_mesh_learner(run):
        options = {"certify": certify, "enforce": enforce, "lower": lower, "input-name": input_name}
        predict_on_meshes(run, input_file, output, scalars, {**options, "alignment": alignment})
        return
    if scalars is not None:
        raise ConfigurationError(f"--scalars {scalars}: this run is of fields on grids; leave it out.")
    if not output.suffix:
        output = output.with_name(output.name + input_file.suffix)
    if output.suffix not in ARRAY_FORMATS:
        raise ConfigurationError(f"--output {output}: the name must end in one of {', '.join(ARRAY_FORMATS)}.")
    # A directory is read for the pair of arrays in it.
    check_output(output, *(input_file.iterdir() if input_file.is_dir() else [input_file]))
    learner = Run.open(run).load_learner()
    problem = learner.problem
    _require_possible(problem, output, certify, enforce, lower)
    if alignment is not None:
        if not isinstance(learner, GridLearner):
            raise ConfigurationError(
                f"--alignment {alignment}: {learner.name} reads the grid of its training alone; leave it out."
            )
        learner.place(alignment)
    found = read_inputs(input_file, inputs=input_name, expected=problem)
    for name, field in found.items():
        show(str(summary("input", name, field)))
    inputs = fields_of(problem, found, problem.inputs, str(input_file))
    problem.check(inputs, str(input_file))
    with about(input_file):
        if enforce:
            arrays = _enforced(learner, inputs, lower)
        elif certify is not None:
            arrays = _certified(learner, inputs, certify)
        else:
            prediction = learner.predict(inputs)
            arrays = dict(prediction.mean)
            arrays |= {f"{name}_std": field for name, field in (prediction.std or {}).items()}
    replaced = output.exists()
    write_arrays(output, arrays)
    if replaced:
        Terminal().say(f"replaced {output}.")
    written = list(arrays)[:1] if output.suffix == ".npy" else list(arrays)
    show(f"{counted(inputs.count, 'sample')} in {output}: {', '.join(written)}")


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
    numbers = {
        "kind": found.kind,
        "status": found.status,
        "estimated_error": found.estimated_error,
        "estimated_error_prediction": found.raw_error,
    }
    numbers |= {f"estimated_error_{kind.name.lower()}": found.candidate_errors[:, kind] for kind in Kind}
    return {**found.outputs, **_beside(answer), **numbers}


def _beside(answer: Prediction) -> dict[str, Tensor]:
    """The raw prediction, where another field has the output's own name."""
    raw = {f"{name}_prediction": field for name, field in answer.mean.items()}
    return raw | {f"{name}_prediction_std": field for name, field in (answer.std or {}).items()}
