"""Numbers of several runs that differ in the seed alone, and the directory in which a comparison keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from sciml.errors import RunError
from sciml.files import read_json
from sciml.report import Cell, counted
from sciml.runs import difference

__all__ = ["COMPARISON_FILE", "check_directory", "over_seeds", "seeds_in_words", "with_spread"]

COMPARISON_FILE = "comparison.json"


def over_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation and single values over seeds, of every number that all runs have.

    Examples
    --------
    >>> over_seeds([{"error": 1.0, "learner": "fno"}, {"error": 3.0, "learner": "fno"}])["error"]["value"]
    2.0
    """
    keys = [k for k, v in runs[0].items() if isinstance(v, int | float) and all(k in other for other in runs)]
    return {
        key: {
            "value": fmean(run[key] for run in runs),
            "spread": stdev(run[key] for run in runs) if len(runs) > 1 else None,
            "values": [run[key] for run in runs],
        }
        for key in keys
    }


def seeds_in_words(count: int) -> str:
    """How numbers over so many seeds are to be read.

    Examples
    --------
    >>> seeds_in_words(3), seeds_in_words(1)
    ('3 seeds, mean ± standard deviation', '1 seed, so that chance is not told from merit')
    """
    seeds = counted(count, "seed")
    return f"{seeds}, mean ± standard deviation" if count > 1 else f"{seeds}, so that chance is not told from merit"


def with_spread(entry: Mapping[str, Any]) -> Cell:
    """A cell of a table: the mean with its standard deviation, or the value alone where there is none.

    Examples
    --------
    >>> with_spread(over_seeds([{"error": 1.0}, {"error": 3.0}])["error"])
    '2 ± 1'
    """
    first, spread = entry["values"][0], entry["spread"]
    if spread:
        return f"{entry['value']:.3g} ± {spread:.1g}"
    return first if isinstance(first, int) else float(entry["value"])


def check_directory(
    directory: Path, common: Mapping[str, Any], learners: Sequence[str], seeds: Sequence[int], overwrite: bool
) -> None:
    """More learners or more seeds go on with what is there; anything else would lose it.

    Parameters
    ----------
    common
        The settings that all learners and seeds share, as ``comparison.json`` holds them.

    Raises
    ------
    RunError
        The directory holds a run, or a finished comparison that this one would replace without `overwrite`.
    """
    if (directory / "config.yaml").is_file():
        raise RunError(f"{directory}: a run is there, not a comparison: choose another directory by -o.")
    if overwrite or not (directory / COMPARISON_FILE).is_file():
        return
    earlier = read_json(directory / COMPARISON_FILE)
    other = difference(earlier["experiment"], common)
    lost = [name for name in earlier["learners"] if name not in learners]
    lost += [f"seed {seed}" for seed in earlier["seeds"] if seed not in seeds]
    if other or lost:
        why = other or f"with {', '.join(lost)}"
        raise RunError(
            f"{directory}: a finished comparison of another kind is there ({why}): give --overwrite, or "
            "another directory by -o."
        )
