"""What libraries say of data, in the words of whoever owns the files: each warning once, samples by their names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from meshes import Mesh
from pde_benchmarks.datasets import MeshFolder
from sciml.experiments.data import Watcher
from solvers.errors import ScimlError

__all__ = ["named_samples", "remarks", "sample_name", "with_names"]

_NUMBERS = re.compile(r"\b(samples? )(\d+(?:(?:, | and )\d+)*)\b(?! of)")


@contextmanager
def remarks(watcher: Watcher, samples: Sequence[Mesh] | None = None) -> Iterator[None]:
    """Tell the watcher of warnings, each once and in one sentence; with ``samples`` by the names of their files."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            spoken = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    for text in dict.fromkeys(spoken):
        watcher.say(f"note: {with_names(text, samples)}")


@contextmanager
def named_samples(samples: Sequence[Mesh]) -> Iterator[None]:
    """Whatever of ours the block raises names the samples' files."""
    try:
        yield
    except ScimlError as error:
        error.args = (with_names(str(error), samples), *error.args[1:])
        raise


def with_names(text: str, samples: Sequence[Mesh] | None) -> str:
    """Numbers of samples in a sentence, as in "sample 3" or "samples 3, 5", replaced by the names of their files.

    Samples that are in no files have only their numbers, and the sentence stays as it is.
    """
    if not isinstance(samples, MeshFolder):
        return text
    names = samples.names

    def renamed(found: re.Match[str]) -> str:
        words = re.split(r"(\d+)", found[2])
        return found[1] + "".join(names[int(w)] if w.isdigit() and int(w) < len(names) else w for w in words)

    return _NUMBERS.sub(renamed, text)


def sample_name(samples: Sequence[Mesh], number: int) -> str:
    """The name of a sample's file, or its number."""
    return samples.names[number] if isinstance(samples, MeshFolder) else str(number)
