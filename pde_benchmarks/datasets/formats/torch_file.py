"""Dictionaries of tensors as neuraloperator distributes them: ``{"x": ..., "y": ...}`` in a ``.pt`` file."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from pde_benchmarks.datasets.recording import Recording, StoredArray
from pde_benchmarks.errors import DatasetError

__all__ = ["record_torch"]


def record_torch(path: Path) -> Recording:
    """Tensors of the file; nothing in it is ever executed.

    Raises
    ------
    DatasetError
        If the file holds anything but a dictionary of named tensors, or is damaged.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" not in str(error) or "operand" in str(error):  # not even a pickle
            raise DatasetError(
                f"{path}: not a file that torch.save wrote, or damaged: fetch it again, or write it by "
                "torch.save({'x': x, 'y': y}, path)."
            ) from error
        raise DatasetError(
            f"{path}: holds Python objects besides tensors, which could run foreign code when loaded: refused. "
            "Store a dictionary of tensors, for example torch.save({'x': x, 'y': y}, path)."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: the file ends early or is damaged ({reason}): fetch it again.") from error
    if not isinstance(contents, dict):
        raise DatasetError(
            f"{path}: holds a {type(contents).__name__}, expected a dictionary of tensors such as x and y."
        )
    return Recording(path, "PyTorch", {str(name): _stored(path, str(name), value) for name, value in contents.items()})


def _stored(path: Path, name: str, value: object) -> StoredArray:
    if not isinstance(value, Tensor):
        raise DatasetError(f"{path}: {name!r} is a {type(value).__name__}, expected tensors only.")
    if value.layout != torch.strided or value.is_quantized or value.is_complex():
        raise DatasetError(
            f"{path}: {name!r} is a {value.dtype} tensor of layout {value.layout}, expected dense real numbers."
        )
    tensor = value.detach()
    tensor = tensor if tensor.is_floating_point() else tensor.to(torch.float32)
    return StoredArray(tuple(tensor.shape), lambda: tensor)
