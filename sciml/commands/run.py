"""``sciml run``: train a learner, judge it, and write a run directory."""

from __future__ import annotations

from sciml.commands import run_options as option

__all__ = ["run"]


def run(
    problem: option.Problem = None,
    learner: option.Learner = None,
    budget_seconds: option.Budget = None,
    steps: option.Steps = None,
    seed: option.Seed = None,
    samples: option.Samples = None,
    test_samples: option.TestSamples = None,
    baselines: option.Baselines = None,
    learner_settings: option.LearnerSettings = None,
    experts: option.Experts = None,
    regularizer: option.Regularizer = None,
    problem_settings: option.ProblemSettings = None,
    training: option.TrainingSettings = None,
    threads: option.Threads = None,
    output: option.Output = None,
    config: option.Config = None,
    data: option.Data = None,
    test_data: option.TestData = None,
    input_name: option.InputName = None,
    output_name: option.OutputName = None,
    alignment: option.GridAlignment = None,
    fields: option.Fields = None,
    cell_fields: option.CellFields = None,
    vectors: option.Vectors = None,
    scalars: option.Scalars = None,
    inputs: option.GivenScalars = None,
    outputs: option.PredictedScalars = None,
    landmarks: option.Landmarks = None,
    mirror: option.MirrorSettings = None,
    plaid: option.PlaidSettings = None,
    ending: option.Ending = None,
    workers: option.Workers = None,
    overwrite: option.Overwrite = False,
) -> None:
    """Train a learner on a problem (or on files by --data), measure it, beside baselines on grids, and write a report.

    An unfinished run in the same directory goes on by itself. Started by torchrun, all processes train, and the first
    one does the rest.
    """
    # First of all, while the parameters are all that there is: they bear the names of the experiment's settings.
    given = option.stated(locals())
    from sciml.commands.experiment_file import read_experiment
    from sciml.commands.learner_setting import with_regularizer
    from sciml.commands.run_on_grids import run_on_grids
    from sciml.commands.run_on_meshes import concerns_meshes, run_on_meshes

    values = read_experiment(config)
    if concerns_meshes(values | given):
        if regularizer is not None:
            with_regularizer(str((values | given).get("learner", "mmgp")), {}, regularizer, {})  # none there has one
        run_on_meshes(values | given, output, overwrite)
    else:
        run_on_grids(values, given, output, overwrite, experts=experts, regularizer=regularizer)
