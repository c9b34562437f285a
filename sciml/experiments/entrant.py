"""Who takes part in a comparison: a learner, in its default configuration or with settings of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Entrant"]


@dataclass(frozen=True)
class Entrant:
    """A learner and its settings.

    Parameters
    ----------
    learner
        A registered learner.
    settings
        Of its configuration.

    Examples
    --------
    >>> entrant = Entrant("latent-ode", {"regularizer": "error", "latent": 4})
    >>> entrant.label, entrant.folder
    ('latent-ode:regularizer=error:latent=4', 'latent-ode-regularizer-error-latent-4')
    """

    learner: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in tables and figures."""
        return ":".join([self.learner, *(f"{key}={value}" for key, value in self.settings.items())])

    @property
    def folder(self) -> str:
        """Its name as a part of a directory's."""
        return re.sub(r"[^\w.]+", "-", self.label).strip("-")
