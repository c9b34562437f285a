"""What a command checks about the file that it will write, while nothing has been computed yet."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["check_output"]


def check_output(output: Path, *inputs: Path) -> None:
    """Raise ConfigurationError unless ``output`` can be written and is none of the files that are read."""
    from sciml.errors import ConfigurationError

    folder = output.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ConfigurationError(
            f"--output {output}: {folder} is no folder that can be written: make it, or choose one."
        )
    for given in inputs:
        if output.exists() and given.exists() and output.samefile(given):
            raise ConfigurationError(f"--output {output}: would replace the input {given}: choose another name.")
