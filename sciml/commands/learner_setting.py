"""Options that are a setting of some learners: which learners have it, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["learners_with", "with_regularizer"]


def learners_with(setting: str) -> list[str]:
    """Names of the installed learners on grids whose configuration has this setting."""
    import dataclasses

    from sciml.learner import learner_types

    return [
        name
        for name, kind in sorted(learner_types().items())
        if any(field.name == setting for field in dataclasses.fields(kind.config_type))
    ]


def with_regularizer(
    learner: str, settings: Mapping[str, Any], regularizer: str, stated: Mapping[str, Any]
) -> dict[str, Any]:
    """The learner's settings with this regularizer.

    Parameters
    ----------
    learner
        Its name.
    settings
        Of the learner, those of a file included.
    regularizer
        The option's value.
    stated
        What ``--set`` says.

    Raises
    ------
    ConfigurationError
        The learner has no regularizer, or ``--set`` names another one.
    """
    from sciml.errors import ConfigurationError

    having = learners_with("regularizer")
    if learner not in having:
        raise ConfigurationError(
            f"--regularizer {regularizer}: {learner} has no regularizer; learners with: {', '.join(having)}."
        )
    if stated.get("regularizer", regularizer) != regularizer:
        raise ConfigurationError(
            f"--regularizer {regularizer} beside --set regularizer={stated['regularizer']}: give one of them."
        )
    return {**settings, "regularizer": regularizer}
