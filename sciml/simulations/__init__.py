"""Simulations of flow from the command line: what is run, kept, drawn and filmed."""

from sciml.simulations.journal import STEPS_A_FRAME, Journal, Row
from sciml.simulations.methods import METHODS, pressure_method
from sciml.simulations.obstacles import obstacle_bodies
from sciml.simulations.settings import PlumeSettings

__all__ = ["METHODS", "STEPS_A_FRAME", "Journal", "PlumeSettings", "Row", "obstacle_bodies", "pressure_method"]
