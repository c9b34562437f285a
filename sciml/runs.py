"""A run directory: everything that one `sciml run` leaves behind, each file written whole or not at all.

::

    config.yaml          the experiment: enough to repeat it, with versions and hardware
    learner.json         the learner's configuration and problem
    weights.safetensors  what it learned
    history.csv          the course of its training; of learners on meshes training.txt, training.json and reference.h5
    metrics.json         errors, seconds, parameters
    figures/*.png
    report.html          written last: a run that has it is finished
    baselines/NAME/      a run of the same form for every learner beside it
    inversions/NAME/     what `sciml invert` leaves behind
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import RunError
from sciml.files import read_json, read_text, write_figure, write_json, write_text
from sciml.run_lock import RunLock

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciml.learner import Learner
    from sciml.training import History

__all__ = ["Run", "difference", "hardware", "read_yaml", "require_known_schema", "versions"]

SCHEMA = 1
_FILES = (
    "config.yaml",
    "metrics.json",
    "history.csv",
    "training.txt",
    "training.json",
    "weights.safetensors",
    "reference.h5",
    "learner.json",
    "report.html",
)
_RECORDED_VERSIONS = (
    "sciml-pde",
    "torch",
    "numpy",
    "scipy",
    "numba",
    "accelerate",
    "gpytorch",
    "neuraloperator",
    "pyamg",
    "torch-sla",
    "h5py",
    "meshio",
    "pyvista",
    "scikit-fem",
)
_FOLDERS = ("figures", "baselines", "inversions")


@dataclass(frozen=True)
class Run:
    """One run directory; make one by `Run.create` or `Run.open`.

    Parameters
    ----------
    directory
        Where it is.
    experiment
        The settings that decide what the run computes (section ``experiment`` of ``config.yaml``).
    lock
        Of whoever writes it: made by `Run.create`, none of a run that is only read.
    """

    directory: Path
    experiment: Mapping[str, Any]
    lock: RunLock | None = field(default=None, compare=False, repr=False)

    @classmethod
    def create(
        cls, directory: Path | str, experiment: Mapping[str, Any], command: str = "", overwrite: bool = False
    ) -> Run:
        """Start a run, or go on with an unfinished one of the same experiment.

        Parameters
        ----------
        directory
            Made if it does not exist.
        experiment
            Plain values (what YAML can hold).
        command
            The command line that repeats the run.
        overwrite
            Remove what an earlier run left in the directory; other files stay.

        Raises
        ------
        RunError
            If the directory holds something that is not a run, a finished run, or the run of another experiment; or
            if another process is writing it.
        """
        directory = Path(directory)
        if directory.exists() and not directory.is_dir():
            raise RunError(f"{directory}: a file, and a run needs a directory: choose another name by -o.")
        if directory.exists() and any(directory.iterdir()):
            if not (directory / "config.yaml").is_file():
                raise RunError(
                    f"{directory}: not empty, and not a run directory (no config.yaml): choose another by -o, or an "
                    "empty one."
                )
            earlier = cls.open(directory)
            lock = RunLock.of(directory)
            if earlier.begun and not overwrite:
                _check_same(earlier, experiment)
                return cls(directory, earlier.experiment, lock)
            _remove(directory)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{directory}: cannot be made ({error.strerror or error}): choose another place.") from error
        lock = RunLock.of(directory)
        config = {
            "schema": SCHEMA,
            "command": command,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "experiment": dict(experiment),
            "versions": versions(),
            "hardware": hardware(),
        }
        write_text(directory / "config.yaml", _to_yaml(config))
        return cls(directory, dict(experiment), lock)

    @classmethod
    def open(cls, directory: Path | str) -> Run:
        """Open a run, finished or not.

        Raises
        ------
        RunError
            If the directory is missing, is not a run, or was written by a newer version.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise RunError(f"{directory}: no such run directory; `sciml run` makes one.")
        if not (directory / "config.yaml").is_file():
            inside = sorted(path.parent for path in directory.glob("*/config.yaml"))
            hint = f"its runs are {', '.join(map(str, inside))}" if inside else "`sciml run` makes one"
            raise RunError(f"{directory}: not a run directory (no config.yaml); {hint}.")
        config = read_yaml(directory / "config.yaml")
        schema = config.get("schema")
        if not isinstance(schema, int) or not isinstance(config.get("experiment"), dict):
            raise RunError(f"{directory}: config.yaml is not of a sciml run (no schema or no experiment).")
        require_known_schema(directory, schema)
        return cls(directory, config["experiment"])

    @property
    def finished(self) -> bool:
        """Whether the report, the last file of a run, is there."""
        return (self.directory / "report.html").is_file()

    @property
    def trained(self) -> bool:
        """Whether the learner's training has ended and its weights are there."""
        return (self.directory / "learner.json").is_file()

    @property
    def begun(self) -> bool:
        """Whether the directory holds anything that took time: a checkpoint, a learner, a report."""
        checkpoints = any(self.directory.glob("**/checkpoint*.safetensors"))
        return self.finished or self.trained or checkpoints

    @property
    def config(self) -> dict[str, Any]:
        """All of ``config.yaml``: the experiment, and with which command, versions and hardware it was run."""
        return read_yaml(self.directory / "config.yaml")

    def baseline(self, name: str) -> Run:
        """The run of another learner beside this one, inside this directory; opened where it exists."""
        directory = self.directory / "baselines" / name
        return Run.create(directory, {**self.experiment, "learner": name, "learner_settings": {}, "baselines": []})

    def baselines(self) -> dict[str, Run]:
        """The baselines that have been trained, by name."""
        folders = sorted((self.directory / "baselines").glob("*"))
        runs = {folder.name: Run.open(folder) for folder in folders}
        wanted = [name for name in self.experiment.get("baselines") or () if name in runs]
        return {name: runs[name] for name in wanted if runs[name].trained}

    def save_learner(self, learner: Learner, history: History) -> None:
        """Write weights, configuration and history; the run is then `trained`."""
        write_text(self.directory / "history.csv", history.to_csv())
        learner.save(self.directory)

    def load_learner(self) -> Learner:
        """The trained learner.

        Raises
        ------
        RunError
            If training has not ended, or the directory's learner is not the one that the run is of.
        """
        from sciml.learner import load

        if not self.trained:
            raise RunError(f"{self.directory}: its training has not ended: give its `sciml run` command again.")
        learner = load(self.directory)
        expected = self.experiment.get("learner")
        if expected is not None and learner.name != expected:
            raise RunError(
                f"{self.directory}: config.yaml is of the learner {expected}, learner.json of {learner.name}: files of "
                "two runs have been mixed; train again with --overwrite."
            )
        return learner

    def history(self) -> History:
        """The course of training; raises RunError where it is missing or damaged."""
        from sciml.training import History

        return History.from_csv(read_text(self.directory / "history.csv"))

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``: flat dotted keys, and the same numbers nested under ``test`` by data set."""
        write_json(self.directory / "metrics.json", dict(metrics))

    def metrics(self) -> dict[str, Any]:
        """What `write_metrics` wrote; raises RunError where it is missing or damaged."""
        metrics: dict[str, Any] = read_json(self.directory / "metrics.json")
        return metrics

    def write_figure(self, name: str, figure: Figure) -> None:
        """Write ``figures/NAME.png``."""
        (self.directory / "figures").mkdir(exist_ok=True)
        write_figure(self.directory / "figures" / f"{name}.png", figure)

    def write_report(self, page: str) -> Path:
        """Write ``report.html``, which finishes the run, and return its path."""
        path = self.directory / "report.html"
        write_text(path, page)
        return path


def difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings of two experiments differ, with both values of the first; empty where none does.

    Both are compared as a file gives them back, where a tuple is a list.
    """
    earlier, now = _as_read(earlier), _as_read(now)
    other = [key for key in sorted({*earlier, *now}) if earlier.get(key) != now.get(key)]
    if not other:
        return ""
    key = other[0]
    verb = "differs" if len(other) == 1 else "differ"
    return f"{', '.join(other)} {verb}: {key} was {earlier.get(key)!r}, now {now.get(key)!r}"


def require_known_schema(where: Path | str, schema: int) -> None:
    """Raise RunError for a configuration that a newer version wrote."""
    if schema > SCHEMA:
        raise RunError(f"{where}: written with schema {schema}, this version reads {SCHEMA}: update sciml-pde.")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _RECORDED_VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores this process may use, and GPU if there is one."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _processor(), "cores": cores, "gpu": gpu}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _check_same(run: Run, experiment: Mapping[str, Any]) -> None:
    if run.finished:
        raise RunError(f"{run.directory}: a finished run is there: give --overwrite, or another directory by -o.")
    other = difference(run.experiment, experiment)
    if other:
        state = "a trained run" if run.trained else "an unfinished run"
        raise RunError(
            f"{run.directory}: {state} of another experiment is there ({other}): give --overwrite, or another "
            "directory by -o."
        )


def _remove(directory: Path) -> None:
    """Remove what runs write, and nothing else."""
    for path in (*(directory / name for name in _FILES), *directory.glob("checkpoint*.safetensors")):
        path.unlink(missing_ok=True)
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)
    for name in _FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)


def _as_read(experiment: Mapping[str, Any]) -> dict[str, Any]:
    import yaml

    back: dict[str, Any] = yaml.safe_load(_to_yaml(dict(experiment)))
    return back


def _to_yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a configuration; raises RunError where it is missing, truncated or not ``key: value`` lines."""
    import yaml

    try:
        value = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise RunError(f"{path}: not YAML, or truncated ({problem}).") from None
    if not isinstance(value, dict):
        raise RunError(f"{path}: not a configuration: key: value lines are expected.")
    return value
