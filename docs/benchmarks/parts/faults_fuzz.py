"""Damaged bytes in what runs, data sets and meshes are read from, and what the commands say of them."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parts.faults_commands import Ended, call, prepare
from parts.faults_kills import results_of
from parts.record import Record, at_least

__all__ = ["fuzz"]

_FEW = ["--samples", "16", "--test-samples", "4", "--baselines", "none", "--problem-set", "resolution=16"]
TRAIN: list[object] = ["run", "darcy", "--learner", "unet", "--set", "channels=4", "--set", "depth=1", *_FEW]
TRAIN += ["--training-set", "checkpoint_seconds=0", "--training-set", "batch_size=4", "--steps", 12]
_CAPTION = (
    "Seeded damages of each kind to each file, then the command that reads it. Clear: exit code 2 and one line that "
    "names the file. Harmless: it ends well and its results are the same bits as without damage, so that the byte did "
    "not matter. Changed: it ends well with other results, because the damage left a well-formed text that a person "
    "could have written (config.yaml may be edited; mesh files have no checksum). Code that a pickle would run is "
    "looked for after every command."
)


class Trap:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


@dataclass(frozen=True)
class Target:
    """A file inside a folder, and the command that reads it there."""

    title: str
    template: Path
    file: str
    arguments: Callable[[Path], list[object]]
    editable: bool = False


def fuzz(record: Record, quick: bool) -> None:
    """Damage every file in every way, and judge what the command does."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder / "cache")
        rows, total = [], Counter[str]()
        for target in _targets(folder):
            seen = _judged(target, folder, 1 if quick else 5)
            total += seen
            kinds = ("clear", "harmless", "changed", "other", "executed")
            rows.append([target.title, sum(seen.values()), *(seen[kind] for kind in kinds)])
    told = total["clear"] + total["other"] + total["executed"] + total["silent"]
    fraction = total["clear"] / told if told else 0.0
    record.figure("fuzzed_files_with_clear_error_fraction", fraction, bar=at_least(1), note=_note(total))
    record.figure("fuzzed_files", float(sum(total.values())))
    record.figure("fuzzed_files_harmless", float(total["harmless"]))
    record.figure("fuzzed_files_changed", float(total["changed"]))
    columns = ["file and command", "damages", "clear", "harmless", "changed", "no clear error", "code executed"]
    record.table("fuzz", columns, rows, _CAPTION)


def _note(total: Counter[str]) -> str:
    return (
        f"of the damages that had to be noticed, {total['clear']} are clear; apart from them {total['harmless']} did "
        f"not matter and {total['changed']} made another well-formed text"
    )


def _targets(folder: Path) -> list[Target]:
    """A finished run, an unfinished one, data and a mesh, made once."""
    import numpy as np

    from meshes import structured_grid, to_simplices, write_mesh

    made = folder / "made"
    made.mkdir()
    finished, unfinished = made / "finished", made / "unfinished"
    finished.mkdir()
    unfinished.mkdir()
    _must([*TRAIN, "-o", finished / "run"], folder)
    _must(["generate", "darcy", "--set", "resolution=16", "--count", 8, "-o", finished / "data.h5"], folder)
    pause = 1.0
    while not list(unfinished.rglob("checkpoint*")):
        shutil.rmtree(unfinished / "run", ignore_errors=True)
        call([*TRAIN, "-o", unfinished / "run"], folder / "errors.txt", pause)
        pause = 0.1 if (unfinished / "run" / "report.html").exists() else pause * 1.1
    (checkpoint,) = (str(path.relative_to(unfinished)) for path in unfinished.rglob("checkpoint*.safetensors"))
    x = np.linspace(0.0, 1.0, 6)
    write_mesh(finished / "part.vtu", to_simplices(structured_grid(x, x)))

    def predict(place: Path) -> list[object]:
        return ["predict", place / "run", "--input", place / "data.h5", "-o", place / "answer.npz"]

    def evaluate(place: Path) -> list[object]:
        return ["evaluate", place / "run"]

    def convert(place: Path) -> list[object]:
        return ["mesh", "convert", place / "part.vtu", place / "again.vtu"]

    def again(place: Path) -> list[object]:
        return [*TRAIN, "-o", place / "run"]

    def learn(place: Path) -> list[object]:
        files = ["--data", place / "data.h5", "--test-data", place / "data.h5"]
        return ["run", "unet", *files, "--steps", 1, "--set", "channels=4", "--set", "depth=1", "-o", place / "new"]

    return [
        Target("weights.safetensors, predict", finished, "run/weights.safetensors", predict),
        Target("learner.json, predict", finished, "run/learner.json", predict),
        Target("config.yaml, evaluate", finished, "run/config.yaml", evaluate, editable=True),
        Target("checkpoint, run again", unfinished, checkpoint, again),
        Target("data.h5, predict", finished, "data.h5", predict),
        Target("data.h5, run --data", finished, "data.h5", learn),
        Target("part.vtu, mesh convert", finished, "part.vtu", convert, editable=True),
    ]


def _judged(target: Target, folder: Path, repeats: int) -> Counter[str]:
    """How often each outcome was seen over all damages."""
    place, mark = folder / "damaged", folder / "executed"
    whole = _fresh(target, place)
    content = (place / target.file).read_bytes()
    ended = call(target.arguments(place), folder / "errors.txt")
    if ended.code:
        raise RuntimeError(f"{target.title}: {ended.words}")
    expected = _answers(place, target)
    seen = Counter[str]()
    for name, damaged in _damages(content, target.title, repeats, mark):
        _fresh(target, place)
        (place / target.file).write_bytes(damaged)
        ended = call(target.arguments(place), folder / "errors.txt")
        kind = "executed" if mark.exists() else _outcome(ended, target, lambda: _answers(place, target) == expected)
        seen[kind] += 1
        if kind in ("other", "silent", "executed"):
            print(f"{target.title}: {name}: {kind}: exit code {ended.code}: {ended.words[-600:]}", flush=True)
    assert whole
    return seen


def _outcome(ended: Ended, target: Target, same: Callable[[], bool]) -> str:
    if ended.code == 0:
        return "harmless" if same() else "changed" if target.editable else "other"
    named = Path(target.file).name in ended.complaint
    one = len(ended.complaint.splitlines()) == 1 and "Traceback" not in ended.words
    return "clear" if ended.code == 2 and one and named else "other"


def _answers(place: Path, target: Target) -> dict[str, object]:
    """Results beside the damaged file itself."""
    return {name: value for name, value in results_of(place).items() if name != target.file}


def _fresh(target: Target, place: Path) -> bool:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(target.template, place)
    return True


def _damages(content: bytes, seed: str, repeats: int, mark: Path) -> list[tuple[str, bytes]]:
    """Named contents in place of ``content``."""
    chance = random.Random(seed)
    found = [("empty", b""), ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(200)), ("a pickle", pickle.dumps(Trap(mark)))]
    found += [("text", b"a letter to a friend\n" * 40), ("twice", content + content)]
    for _ in range(repeats):
        found.append(("random bytes", chance.randbytes(len(content))))
        found.append(("cut off", content[: chance.randrange(len(content))]))
        for count in (1, 1, 8, 64):
            flipped = bytearray(content)
            for _ in range(count):
                flipped[chance.randrange(len(flipped))] ^= chance.randrange(1, 256)
            found.append((f"{count} bytes changed", bytes(flipped)))
    return found


def _must(arguments: list[object], folder: Path) -> None:
    ended = call(arguments, folder / "errors.txt")
    if ended.code:
        raise RuntimeError(ended.words)
