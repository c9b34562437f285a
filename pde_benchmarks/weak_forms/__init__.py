"""Residuals that can be minimised without labels, one file a kind; a new equation's forms stand beside these."""

from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.weak_forms.certificate import energy_error_bound
from pde_benchmarks.weak_forms.diffusion import Diffusion
from pde_benchmarks.weak_forms.energy import EnergyForm
from pde_benchmarks.weak_forms.evolution import (
    EVOLUTION_FORMS,
    Evolution,
    StrongEvolutionForm,
    WeightedEvolutionForm,
)
from pde_benchmarks.weak_forms.stokes import CreepingFlow, StokesForm, velocity_of
from pde_benchmarks.weak_forms.strong import StrongForm
from pde_benchmarks.weak_forms.tested import MixedForm, WeightedForm
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = [
    "DIFFUSION_FORMS",
    "EVOLUTION_FORMS",
    "CreepingFlow",
    "Diffusion",
    "EnergyForm",
    "Evolution",
    "MixedForm",
    "Quadrature",
    "StokesForm",
    "StrongEvolutionForm",
    "StrongForm",
    "WeakForm",
    "WeightedEvolutionForm",
    "WeightedForm",
    "energy_error_bound",
    "velocity_of",
]

#: The kinds of residual of a symmetric diffusion problem, the best first.
DIFFUSION_FORMS: dict[str, type[EnergyForm] | type[WeightedForm] | type[MixedForm] | type[StrongForm]] = {
    form.kind: form for form in (EnergyForm, WeightedForm, MixedForm, StrongForm)
}
