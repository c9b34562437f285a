"""Incompressible flow on a staggered grid, with smoke, obstacles and any pressure solver."""

from pde_benchmarks.smoke.advection import Advection, MacCormack, SemiLagrangian
from pde_benchmarks.smoke.body import Body
from pde_benchmarks.smoke.clocks import Clock, CourantSteps, EqualSteps
from pde_benchmarks.smoke.domain import Domain
from pde_benchmarks.smoke.flow import Flow, Source
from pde_benchmarks.smoke.forces import Buoyancy, Force, VorticityConfinement
from pde_benchmarks.smoke.ghia import CavityErrors, cavity_errors, ghia_u, ghia_v
from pde_benchmarks.smoke.grid import MacGrid
from pde_benchmarks.smoke.methods import PRESSURE_METHODS, PressureMethod
from pde_benchmarks.smoke.momentum import AdamsBashforth, Momentum, Splitting
from pde_benchmarks.smoke.past_solutions import PastSolutions
from pde_benchmarks.smoke.projection import Projected, Projection, ProjectionReport, outflow, pushed
from pde_benchmarks.smoke.scenes import Scene, cavity, default_obstacle, plume, taylor_green, taylor_green_velocity
from pde_benchmarks.smoke.shapes import Ball, Cuboid, Shape, SurfaceSolid
from pde_benchmarks.smoke.simulation import Simulation, StepReport
from pde_benchmarks.smoke.state import FlowState, fluid_at_rest
from pde_benchmarks.smoke.tracing import Motion
from pde_benchmarks.smoke.viscosity import ExplicitViscosity, ImplicitViscosity, Viscosity
from pde_benchmarks.smoke.walls import Friction, Walls

__all__ = [
    "PRESSURE_METHODS",
    "AdamsBashforth",
    "Advection",
    "Ball",
    "Body",
    "Buoyancy",
    "CavityErrors",
    "Clock",
    "CourantSteps",
    "Cuboid",
    "Domain",
    "EqualSteps",
    "ExplicitViscosity",
    "Flow",
    "FlowState",
    "Force",
    "Friction",
    "ImplicitViscosity",
    "MacCormack",
    "MacGrid",
    "Momentum",
    "Motion",
    "PastSolutions",
    "PressureMethod",
    "Projected",
    "Projection",
    "ProjectionReport",
    "Scene",
    "SemiLagrangian",
    "Shape",
    "Simulation",
    "Source",
    "Splitting",
    "StepReport",
    "SurfaceSolid",
    "Viscosity",
    "VorticityConfinement",
    "Walls",
    "cavity",
    "cavity_errors",
    "default_obstacle",
    "fluid_at_rest",
    "ghia_u",
    "ghia_v",
    "outflow",
    "plume",
    "pushed",
    "taylor_green",
    "taylor_green_velocity",
]
