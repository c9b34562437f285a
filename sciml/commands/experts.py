"""``--experts``: the number of experts of a learner, where it has any."""

from __future__ import annotations

from typing import Any

__all__ = ["with_experts"]


def with_experts(learner: str, settings: dict[str, Any], experts: str) -> dict[str, Any]:
    """The learner's settings with these experts.

    Raises
    ------
    ConfigurationError
        The learner has no experts, or its settings name them already.
    """
    from sciml.commands.learner_setting import learners_with
    from sciml.errors import ConfigurationError

    having = learners_with("experts")
    if learner not in having:
        raise ConfigurationError(f"--experts {experts}: {learner} has no experts; learners with: {', '.join(having)}.")
    if "experts" in settings:
        raise ConfigurationError(f"--experts {experts} beside --set experts={settings['experts']}: give one of them.")
    return {**settings, "experts": int(experts) if experts.strip().isdigit() else experts}
