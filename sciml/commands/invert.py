"""``sciml invert``: from noisy data to what they were measured of."""

from __future__ import annotations

from sciml.commands import invert_options as option

__all__ = ["invert"]


def invert(
    target: option.Target,
    observations: option.Observations = None,
    sensors: option.SensorCount = None,
    snr: option.SignalToNoise = None,
    count: option.Count = None,
    method: option.Method = None,
    method_settings: option.MethodSettings = None,
    seed: option.Seed = 0,
    learner: option.Learner = None,
    budget: option.Budget = None,
    steps: option.Steps = None,
    samples: option.Samples = None,
    learner_settings: option.LearnerSettings = None,
    problem_settings: option.ProblemSettings = None,
    training: option.TrainingSettings = None,
    run: option.RunDirectory = None,
    output: option.Output = None,
    prior: option.Prior = None,
    input: option.Input = None,
    truth: option.Truth = None,
    noise: option.Noise = None,
    weight: option.Weight = None,
    strength: option.Strength = None,
) -> None:
    """Find the input of an equation from noisy measurements of its solution, with error bars.

    With the name of a problem its learner is trained first, without labels, in a run directory; one that is there
    already is used, an unfinished one goes on. With a run directory its learner is taken as it is. Without a file of
    measurements a case of known truth is made.

    With --prior a field is reconstructed from its image, projections or pressures under a learned prior, beside
    classical methods: the targets are deblur, tomography, compressed-sensing, heat-source and darcy.
    """
    # First of all, while the parameters are all that there is.
    given = dict(locals())
    from sciml.commands.invert_by_sensors import invert_by_sensors
    from sciml.commands.invert_with_prior import invert_with_prior

    if prior is None:
        invert_by_sensors(given)
    else:
        invert_with_prior(given)
