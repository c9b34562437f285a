"""One training loop for every learner: budget, schedule, devices, processes, checkpoints, exact resume."""

from sciml.training.clock import TrainingInterrupted
from sciml.training.config import TrainingConfig
from sciml.training.history import History
from sciml.training.trainer import Loss, Progress, Trainer

__all__ = ["History", "Loss", "Progress", "Trainer", "TrainingConfig", "TrainingInterrupted"]
