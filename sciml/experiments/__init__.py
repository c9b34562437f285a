"""Experiments: a learner, its baselines and its data, trained under one budget, measured and told in a report."""

from sciml.experiments.comparison import Comparison
from sciml.experiments.conduct import Outcome, accompany, conduct, present, reopen
from sciml.experiments.data import ExperimentData, Silent, Watcher, fields_of, read_tests, with_data
from sciml.experiments.entrant import Entrant
from sciml.experiments.experiment import (
    Experiment,
    beside,
    build_problem,
    default_baselines,
    default_learner,
    training_config,
    untrained,
)
from sciml.experiments.measure import measure, ready, train
from sciml.experiments.story import Story, table_columns, table_rows

__all__ = [
    "Comparison",
    "Entrant",
    "Experiment",
    "ExperimentData",
    "Outcome",
    "Silent",
    "Story",
    "Watcher",
    "accompany",
    "beside",
    "build_problem",
    "conduct",
    "default_baselines",
    "default_learner",
    "fields_of",
    "measure",
    "present",
    "read_tests",
    "ready",
    "reopen",
    "table_columns",
    "table_rows",
    "train",
    "training_config",
    "untrained",
    "with_data",
]
