"""``sciml predict``: predict fields from a file, and on demand certify and polish them, or enforce constraints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciml.commands.options import Alignment

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
    draws: Annotated[
        int | None, typer.Option(help="of a mesh: so many possible fields are drawn and written, too")
    ] = None,
    alignment: Annotated[Alignment | None, typer.Option(help="where the grid points lie")] = None,
) -> None:
    """Predict the outputs of every input field in a file.

    An output is written under its own name, e.g. solution. With --certify that is the answer polished by the problem's
    own equation; the raw prediction (solution_prediction), its residual and its estimated error are written beside it.
    With --enforce that is the best of the prediction, its correction and a field that the equation constrains, by the
    error that the equation estimates; conservation laws of the problem are satisfied. The equation may be nonlinear.
    Arrays are (samples, channels, *grid), with a time axis after the samples for what is asked at several instants. Of
    a mesh NAME_mean, NAME_std (and draws) are written.
    """
    from sciml.commands.predict_on_grids import predict_on_grids
    from sciml.commands.predict_on_meshes import predict_on_meshes
    from sciml.errors import ConfigurationError
    from sciml.mesh_learner import is_mesh_learner

    if is_mesh_learner(run):
        options = {"certify": certify, "enforce": enforce, "lower": lower, "input-name": input_name}
        predict_on_meshes(run, input_file, output, scalars, draws, {**options, "alignment": alignment})
        return
    for option, value in (("scalars", scalars), ("draws", draws)):
        if value is not None:
            raise ConfigurationError(f"--{option} {value}: this run is of fields on grids; leave it out.")
    predict_on_grids(run, input_file, output, input_name, alignment, certify=certify, enforce=enforce, lower=lower)
