"""SIGKILL at random moments of generate, run and predict, and the same command again until it ends."""

from __future__ import annotations

import csv
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parts.faults_commands import call, prepare
from parts.record import Record, at_least, at_most

__all__ = ["kills", "results_of", "unreadable"]

KILLS = 50
_FEW = ["--samples", "16", "--test-samples", "4", "--baselines", "none"]


@dataclass(frozen=True)
class Job:
    """A command that writes into a folder; what must be the same whether it was killed or not."""

    name: str
    arguments: Callable[[Path], list[object]]
    share: float


def kills(record: Record, quick: bool) -> None:
    """Kill every command again and again, and compare with the uninterrupted one."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder / "cache")
        counted, rows = {"survived": 0, "lost": 0}, []
        for job in _jobs(folder, quick):
            row = _killed(job, folder, 2 if quick else round(KILLS * job.share))
            counted["survived"] += row["survived"]
            counted["lost"] += row["lost"]
            rows.append([job.name, row["kills"], row["survived"], row["lost"], row["left"], row["seconds"]])
    record.figure("kills_survived", float(counted["survived"]), bar=at_least(KILLS))
    record.figure("lost_or_half_written", float(counted["lost"]), bar=at_most(0))
    columns = [
        "command",
        "killed",
        "same results afterwards",
        "lost or half-written",
        "temporary files left",
        "seconds",
    ]
    record.table("kills", columns, rows, _CAPTION)


_CAPTION = (
    "SIGKILL at a seeded random moment of the command's usual time, then the same command again, which is killed again "
    "or, after at most three kills, left to end. After every kill every file under its final name is read. Results are "
    "metrics (without times), weights and arrays; they are compared with those of a command that was never killed. "
    "Temporary files are what killed writers leave beside the target; nobody reads them."
)


def _jobs(folder: Path, quick: bool) -> list[Job]:
    settings: list[object] = ["--problem-set", "resolution=16", "--steps", 8 if quick else 30]
    settings += ["--training-set", "checkpoint_seconds=0", "--training-set", "batch_size=4", *_FEW]
    trained = folder / "trained"
    train: list[object] = ["run", "darcy", "--learner", "unet", "--set", "channels=4", "--set", "depth=1", *settings]
    data = folder / "inputs.h5"
    for arguments in (
        [*train, "-o", trained],
        ["generate", "darcy", "--set", "resolution=16", "--count", 8, "-o", data],
    ):
        ended = call(arguments, folder / "errors.txt")
        if ended.code:
            raise RuntimeError(ended.words)
    draw: list[object] = ["generate", "darcy", "--set", "resolution=32", "--count", 64 if quick else 320]
    return [
        Job("generate", lambda out: [*draw, "-o", out / "d.h5"], 0.3),
        Job("run", lambda out: [*train, "-o", out / "run"], 0.5),
        Job("predict", lambda out: ["predict", trained, "--input", data, "-o", out / "answer.npz"], 0.22),
    ]


def _killed(job: Job, folder: Path, wanted: int) -> dict[str, float]:
    """Rounds of at most three kills until there were ``wanted`` of them."""
    chance = random.Random(job.name)
    whole = folder / f"{job.name}-whole"
    whole.mkdir()
    usual = call(job.arguments(whole), folder / "errors.txt")
    if usual.code:
        raise RuntimeError(usual.words)
    expected = results_of(whole)
    row: dict[str, float] = {"kills": 0, "survived": 0, "lost": 0, "left": 0, "seconds": usual.seconds}
    while row["kills"] < wanted:
        place = folder / f"{job.name}-killed"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        hits, wrong = 0, 0
        for _ in range(min(3, wanted - int(row["kills"]))):
            ended = call(job.arguments(place), folder / "errors.txt", usual.seconds * chance.random())
            if ended.code == 0:  # it was faster than the signal
                break
            hits += 1
            wrong += len(unreadable(place))
        else:
            ended = call(job.arguments(place), folder / "errors.txt")
        same = ended.code == 0 and results_of(place) == expected and not unreadable(place)
        row["kills"] += hits
        row["survived"] += hits if same and not wrong else 0
        row["lost"] += wrong + (0 if same else 1)
        row["left"] += sum(1 for path in place.rglob("*") if _is_temporary(path))
        if not same:
            print(f"{job.name}: exit code {ended.code}: {ended.words[-500:]}", flush=True)
    return row


def results_of(folder: Path) -> dict[str, object]:
    """Numbers in the files of a folder that do not depend on the time of day."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not _is_temporary(path)):
        name = str(path.relative_to(folder))
        match path.suffix:
            case ".safetensors":
                found[name] = path.read_bytes()
            case ".npz" | ".h5":
                found[name] = _arrays(path)
            case ".json" if path.name == "metrics.json":
                found[name] = _timeless(json.loads(path.read_text()))
            case _:
                found[name] = "present"
    return found


def unreadable(folder: Path) -> list[str]:
    """Files under their final names that are not whole."""
    bad = []
    for path in folder.rglob("*"):
        if path.is_file() and not _is_temporary(path):
            try:
                _READERS.get(path.suffix, Path.read_bytes)(path)
            except Exception as error:
                bad.append(f"{path}: {error}")
    return bad


def _timeless(metrics: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in metrics.items() if key.startswith("test")}


def _is_temporary(path: Path) -> bool:
    return path.suffix == ".tmp" or path.name.startswith(".")


def _arrays(path: Path) -> dict[str, bytes]:
    import h5py
    import numpy as np

    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name].tobytes() for name in archive.files}
    found: dict[str, bytes] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def _tensors(path: Path) -> object:
    from safetensors.torch import load_file

    return load_file(path)


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def _yaml(path: Path) -> None:
    import yaml

    if not isinstance(yaml.safe_load(path.read_text()), dict):
        raise ValueError("no mapping")


def _page(path: Path) -> None:
    if "</html>" not in path.read_text():
        raise ValueError("cut off")


_READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".yaml": _yaml,
    ".csv": lambda path: list(csv.reader(path.read_text().splitlines(), strict=True)),
    ".safetensors": _tensors,
    ".npz": _arrays,
    ".h5": _arrays,
    ".png": _picture,
    ".html": _page,
}
