"""Images and fields as they lie in files: pictures, arrays, and stacks of arrays."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.datasets.container import FORMAT, read_dataset_file
from pde_benchmarks.datasets.formats.hdf5 import opened
from pde_benchmarks.datasets.readers import read_inputs
from pde_benchmarks.errors import DatasetError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PICTURES", "READABLE", "read_fields"]

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
STACKS = frozenset({".npz", ".h5", ".hdf5"})
READABLE = PICTURES | STACKS | {".npy"}

_MOST_CHANNELS = 4
_EXACT_IN_FLOAT64 = 2**53
_EXACT_IN_FLOAT32 = 2**24


def read_fields(path: Path, name: str | None = None) -> Tensor:
    """The image or the images of one file.

    Parameters
    ----------
    path
        A picture (``.png``, ``.jpg``, ``.tif``, ``.bmp``; one field), an array (``.npy``; one field, with its channels
        on the first or the last axis) or a stack (``.npz``, HDF5; samples on the first axis).
    name
        Which array of a stack; else the only one, the input by its usual name (x, a, coeff …), or the first output of a
        data set of this package.

    Returns
    -------
    Tensor
        Shape ``(samples, channels, *grid)``, float32 or float64. Bytes and 16-bit numbers are divided by the largest
        one of their type, everything else is in its own unit.

    Raises
    ------
    DatasetError
        If the file is of an unknown kind, broken, complex, not finite, transparent, or holds whole numbers that are too
        large for floating point.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _read_picture(path)
    if suffix in STACKS:
        return _read_stack(path, name)
    if suffix == ".npy":
        return _read_array(path)
    raise DatasetError(f"{path}: unknown kind of image file: {', '.join(sorted(READABLE))} are read.")


def _read_picture(path: Path) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            count = getattr(picture, "n_frames", 1)
            if count > 1:
                raise DatasetError(f"{path}: holds {count} pictures: store each in a file of its own.")
            pixels = np.asarray(_plain(picture, path))
    except UnidentifiedImageError:
        raise DatasetError(f"{path}: no picture, or a broken one: its beginning is that of no known format.") from None
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError) as error:
        if isinstance(error, DatasetError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: the picture is broken ({reason}): fetch or export it again.") from error
    return _field(pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0), path)[None]


def _plain(picture: Image, path: Path) -> Image:
    """A picture in grey or in red, green and blue, without an alpha channel that says nothing."""
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if picture.mode in ("LA", "RGBA"):
        if int(np.asarray(picture.getchannel("A")).min()) < 255:
            raise DatasetError(f"{path}: partly transparent: put it on a background, and save it without alpha.")
        return picture.convert(picture.mode.removesuffix("A"))
    if picture.mode not in ("1", "L", "RGB", "F", "I") and not picture.mode.startswith("I;16"):
        raise DatasetError(f"{path}: colours of kind {picture.mode}: save it in grey or RGB.")
    return picture


def _read_array(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: no array of numbers, or a broken file ({reason}).") from error
    if array.ndim == 3 and array.shape[-1] <= _MOST_CHANNELS < array.shape[0]:
        array = np.moveaxis(array, -1, 0)
    if array.ndim not in (1, 2, 3) or (array.ndim == 3 and array.shape[0] > _MOST_CHANNELS):
        raise DatasetError(
            f"{path}: an array of shape {array.shape}: one field a .npy file is expected, (width,), (height, width) or "
            f"with up to {_MOST_CHANNELS} channels before or behind; put stacks of fields into .npz or HDF5."
        )
    return _field(array, path)[None]


def _read_stack(path: Path, name: str | None) -> Tensor:
    if path.suffix.lower() != ".npz" and _is_own(path):
        dataset = read_dataset_file(path)
        fields = {**dataset.outputs, **dataset.inputs}
        chosen = name or next(iter(dataset.outputs))
        if chosen not in fields:
            raise DatasetError(f"{path}: no field {chosen!r}: it holds {', '.join(fields)}.")
        values = fields[chosen]
    else:
        (values,) = read_inputs(path, inputs=name).values()
    if values.ndim < 3:
        raise DatasetError(f"{path}: an array of shape {tuple(values.shape)}: fields on a grid are expected.")
    return values


def _is_own(path: Path) -> bool:
    with opened(path) as file:
        return bool(file.attrs.get("format") == FORMAT)


def _field(array: np.ndarray, path: Path) -> Tensor:
    """An array ``([channels,] *grid)`` as a tensor ``(channels, *grid)``."""
    if array.dtype.kind not in "biuf":
        kind = "complex numbers" if array.dtype.kind == "c" else f"values of type {array.dtype}"
        raise DatasetError(f"{path}: {kind}: real numbers are expected (complex ones as two channels).")
    if array.size == 0:
        raise DatasetError(f"{path}: an array of shape {array.shape} holds nothing.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DatasetError(f"{path}: holds NaN or infinity: mend it.")
    values = torch.from_numpy(np.ascontiguousarray(_floating(array, path)))
    return values[None] if array.ndim < 3 else values


def _floating(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind == "f":
        # Extended precision and half precision have no tensors of use here.
        return array.astype(np.float64 if array.dtype.itemsize >= 8 else np.float32)
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    largest = max(abs(int(array.max())), abs(int(array.min())))
    if largest > _EXACT_IN_FLOAT64:
        raise DatasetError(
            f"{path}: whole numbers up to {largest} overflow what a 64-bit float holds exactly, 2^53: scale them."
        )
    return array.astype(np.float32 if largest <= _EXACT_IN_FLOAT32 else np.float64)
