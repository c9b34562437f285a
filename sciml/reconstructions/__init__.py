"""Reconstructions: data of imaging and of equations, inverted with a learned prior, judged and told in a report."""

from sciml.reconstructions.case import ReconstructionCase, recorded_case, synthetic_case
from sciml.reconstructions.choices import METHODS, at_chosen_noise, method_of, strengthened, usual_method
from sciml.reconstructions.conduct import Answer, Wishes, carry_out
from sciml.reconstructions.forward_problems import FORWARD_PROBLEMS, ForwardProblem
from sciml.reconstructions.judge import assumption_rows, columns, rows, verdict
from sciml.reconstructions.prior_of_run import TrainedPrior, trained_prior
from sciml.reconstructions.prior_path import PriorPath, prior_paths
from sciml.reconstructions.story import FIELDS, Story, write_reconstruction

__all__ = [
    "FIELDS",
    "FORWARD_PROBLEMS",
    "METHODS",
    "Answer",
    "ForwardProblem",
    "PriorPath",
    "ReconstructionCase",
    "Story",
    "TrainedPrior",
    "Wishes",
    "assumption_rows",
    "at_chosen_noise",
    "carry_out",
    "columns",
    "method_of",
    "prior_paths",
    "recorded_case",
    "rows",
    "strengthened",
    "synthetic_case",
    "trained_prior",
    "usual_method",
    "verdict",
    "write_reconstruction",
]
