"""Who takes part in ``sciml compare`` on grids: names with settings, once for each regularizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sciml.experiments import Entrant

__all__ = ["entrants_of"]


def entrants_of(learners: Sequence[str], regularizers: str | None) -> list[Entrant]:
    """Learners such as ``latent-ode`` or ``latent-ode:latent=4``, each with each of the regularizers if any are named.

    Raises
    ------
    ConfigurationError
        A setting cannot be read, or a learner has no regularizer.

    Examples
    --------
    >>> [entrant.label for entrant in entrants_of(["latent-ode:latent=4"], "none,error")]
    ['latent-ode:latent=4:regularizer=none', 'latent-ode:latent=4:regularizer=error']
    """
    from sciml.commands.learner_setting import with_regularizer
    from sciml.commands.values import names, settings
    from sciml.experiments import Entrant

    found = []
    for text in learners:
        name, *pairs = text.split(":")
        stated = settings(pairs)
        if regularizers is None:
            found.append(Entrant(name, stated))
            continue
        for regularizer in dict.fromkeys(names(regularizers) or ["none"]):
            found.append(Entrant(name, with_regularizer(name, stated, regularizer, stated)))
    return found
