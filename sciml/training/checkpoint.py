"""The state of a training between two steps, as one safetensors file."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import RunError
from sciml.files import read_metadata, read_tensors, write_tensors
from sciml.module_state import module_tensors
from sciml.training.config import TrainingConfig

__all__ = ["Checkpoint", "fingerprint"]

SCHEMA = 1
# These say how a training is watched, not what it computes.
_WATCHING = ("checkpoint_seconds", "validations")


def fingerprint(config: TrainingConfig, module: nn.Module, data: Mapping[str, Tensor]) -> str:
    """Hash of everything that a training's result depends on: configuration, module layout, and data by its ends."""
    settings = {key: value for key, value in asdict(config).items() if key not in _WATCHING}
    if config.steps is not None:
        settings.pop("budget_seconds"), settings.pop("clock")
    layout = {name: [list(value.shape), str(value.dtype)] for name, value in module_tensors(module).items()}
    arrays = {name: [list(array.shape), str(array.dtype), _ends(array)] for name, array in data.items()}
    return hashlib.sha256(json.dumps([settings, layout, arrays], sort_keys=True).encode()).hexdigest()


def _ends(array: Tensor) -> int:
    """Checksum of the first and the last sample."""
    ends = array[[0, -1]].detach().cpu().contiguous()
    return zlib.crc32(ends.view(torch.uint8).numpy().tobytes())


@dataclass(frozen=True)
class Checkpoint:
    """A training's checkpoint file, of one configuration.

    Batches and augmentation are functions of seed and step (`sciml.training.batches`), so the step stands for the
    state of every random generator.
    """

    path: Path
    identity: str

    def write(self, module: nn.Module, optimizer: torch.optim.Optimizer, progress: Mapping[str, Any]) -> None:
        """Write module, optimiser and ``progress`` (JSON-ready) atomically; raises RunError as `write_tensors`."""
        state = optimizer.state_dict()
        tensors = {f"module.{name}": value for name, value in module_tensors(module).items()}
        for index, entries in state["state"].items():
            tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in entries.items()}
        metadata = {"schema": SCHEMA, "identity": self.identity, "progress": dict(progress)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(self.path, tensors, metadata)

    def read(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Fill module and optimiser and return the progress; None where there is no checkpoint.

        Raises
        ------
        RunError
            If the checkpoint is damaged, or of another configuration, module or data set.
        """
        if not self.path.exists():
            return None
        metadata = read_metadata(self.path)
        if metadata.get("schema") != SCHEMA or metadata.get("identity") != self.identity:
            raise RunError(
                f"{self.path}: this checkpoint is of another training (other settings, network or data): repeat the "
                "settings it was started with, remove it, or use another directory."
            )
        tensors = read_tensors(self.path)
        module.load_state_dict({n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")})
        _fill(optimizer, {n: t for n, t in tensors.items() if n.startswith("optimizer.")})
        progress: dict[str, Any] = metadata["progress"]
        return progress

    def remove(self) -> None:
        """Remove the file, and what killed writers may have left beside it."""
        for left in (self.path, *self.path.parent.glob(f".{self.path.name}.*.tmp")):
            left.unlink(missing_ok=True)


def _fill(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        _, index, key = name.split(".", 2)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape and value.ndim:
            # The fused optimiser walks through memory: a moment must lie there exactly as its parameter does.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
