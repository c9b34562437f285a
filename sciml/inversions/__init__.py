"""Inversions: measurements, from a file or made, inverted by a trained learner, judged and told in a report."""

from sciml.inversions.case import Case, recorded_case, synthetic_case
from sciml.inversions.conduct import carry_out, method_config, trained_run
from sciml.inversions.directory import require_usable
from sciml.inversions.judge import numbers, verdict
from sciml.inversions.measurements import Measurements, read_measurements
from sciml.inversions.story import Inversion, columns, rows, write_inversion

__all__ = [
    "Case",
    "Inversion",
    "Measurements",
    "carry_out",
    "columns",
    "method_config",
    "numbers",
    "read_measurements",
    "recorded_case",
    "require_usable",
    "rows",
    "synthetic_case",
    "trained_run",
    "verdict",
    "write_inversion",
]
