"""Commands about parts on meshes: how tests give them, what they write, and folders of files for them."""

from __future__ import annotations

from dataclasses import replace

from meshes import write_mesh
from sciml.cli import main

SMALL = ["--samples", "20", "--test-samples", "6", "--workers", "1"]
QUICK = ["--set", "refinements=0", "--set", "folds=4"]


def complaint(capsys, arguments, code=2):
    """The one line that a failing command writes."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    spoken = [line for line in lines if line.startswith("sciml:")]
    assert len(spoken) == 1
    assert "Traceback" not in "".join(lines)
    return spoken[0]


def obey(capsys, arguments):
    """What a command that works writes on standard output and standard error, as one line of words each."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return tuple(" ".join(stream.split()) for stream in capsys.readouterr())


def write_folder(folder, parts, columns=("load", "peak"), ending=".vtu"):
    """Mesh files and the CSV file of their scalars."""
    folder.mkdir(parents=True)
    lines = [",".join(("file", *columns))]
    for number, part in enumerate(parts):
        name = f"arch_{number}{ending}"
        write_mesh(folder / name, replace(part, global_data={}))
        lines.append(",".join((name, *(repr(float(part.global_data[column])) for column in columns))))
    (folder / "scalars.csv").write_text("\n".join(lines) + "\n")
    return folder
