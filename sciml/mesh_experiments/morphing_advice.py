"""Which ``--set morphing=…`` would work where the one that was taken does not: the others are tried on the sample."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from meshes import Mesh
from meshes.errors import MeshError, MorphingError
from meshes.morphing.surfaces import surface
from sciml.learners.mmgp.morphings import named_morphing
from sciml.learners.mmgp.morphings.naming import MORPHINGS
from solvers.errors import ScimlError

__all__ = ["advised", "stranger", "working_morphings"]

_SAMPLE = re.compile(r"\bsample (\d+)\b")
#: What is tried, in the order in which it is recommended.
_TRIED = tuple(name for name in MORPHINGS if name not in ("disc-mean-value", "disc-uniform"))  # disc tries these, too


@contextmanager
def advised(samples: Sequence[Mesh], landmarks: Sequence[str]) -> Iterator[None]:
    """Whatever the block raises over a sample that cannot be morphed ends with what would work.

    Parameters
    ----------
    samples
        Of the training.
    landmarks
        Of the family.
    """
    try:
        yield
    except (MeshError, MorphingError) as error:
        found = _SAMPLE.search(str(error))
        number = int(found[1]) % len(samples) if found else 1
        if len(samples) > 1:
            error.args = (f"{error} {_advice(samples, number, landmarks)}", *error.args[1:])
        raise


@contextmanager
def stranger() -> Iterator[None]:
    """Whatever the block raises over a new part that cannot be morphed says that no setting can change that."""
    try:
        yield
    except MorphingError as error:
        words = "The part is none of those that the run was trained on; a run of parts like it is needed."
        error.args = (f"{error} {words}", *error.args[1:])
        raise


def working_morphings(mesh: Mesh, reference: Mesh, landmarks: Sequence[str]) -> list[str]:
    """Names of morphings that bring a mesh onto another one, the recommended ones first.

    Examples
    --------
    >>> from meshes import structured_grid, to_simplices
    >>> squares = [to_simplices(structured_grid([0.0, 1.0], [0.0, height])) for height in (1.0, 2.0)]
    >>> "same-cells" in working_morphings(*squares, ())
    True
    """
    return [name for name in _TRIED if _works(name, mesh, reference, landmarks)]


def _works(name: str, mesh: Mesh, reference: Mesh, landmarks: Sequence[str]) -> bool:
    try:
        morphing = named_morphing(name, reference).prepared([reference, mesh], tuple(landmarks))
        morphing.apply(mesh, morphing.reference(reference))
    except ScimlError:
        return False
    return True


def _advice(samples: Sequence[Mesh], number: int, landmarks: Sequence[str]) -> str:
    """One sentence."""
    other = 0 if number else 1
    mesh, reference = samples[number], samples[other]
    found = working_morphings(mesh, reference, landmarks)
    if found:
        others = f" (so do {', '.join(found[1:])})" if found[1:] else ""
        return f"--set morphing={found[0]} brings sample {number} onto sample {other}{others}."
    holes = [_holes(one) for one in (mesh, reference)]
    if None not in holes and holes[0] != holes[1]:
        return (
            f"Sample {number} has {_counted(holes[0])}, sample {other} {_counted(holes[1])}: no morphing brings one "
            "onto the other; train one run for each number of holes."
        )
    return (
        f"No other morphing brings sample {number} onto sample {other} either: name landmarks (of solids, faces), or "
        "leave it out."
    )


def _holes(mesh: Mesh) -> int | None:
    """Boundary loops of a surface beyond the first; None where they cannot be counted."""
    try:
        return len(surface(mesh).loops) - 1
    except ScimlError:
        return None


def _counted(holes: int | None) -> str:
    return f"{holes or 'no'} hole{'' if holes == 1 else 's'}"
