"""Deep generative neural operators: one latent vector for the coefficient and the solution of an equation."""

from sciml.learners.dgno.learner import DGNO, DGNOConfig

__all__ = ["DGNO", "DGNOConfig"]
