"""A folder of images, or a file of fields, as data to learn denoising and hence a prior from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pde_benchmarks.datasets.dataset import Dataset
from pde_benchmarks.datasets.parts import seed_of
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from pde_benchmarks.imaging.image_files import PICTURES, READABLE, read_fields
from pde_benchmarks.imaging.patches import cut_patches, to_channels
from pde_benchmarks.problem import Batch

__all__ = ["ImageSets", "ReadingOptions", "is_image_folder", "read_images", "read_test_images"]


@dataclass(frozen=True)
class ReadingOptions:
    """How images become samples.

    Parameters
    ----------
    patch
        Side of the square patches that images are cut into, next to each other from the first corner; None for whole
        images, which must all have one size.
    channels
        1 turns colour into grey (luminance, ITU-R BT.601); 3 asks for colour; None takes them as they are, if all have
        as many.
    noise
        Standard deviation of the noise, values lying in [0, 1].
    validation, test
        Fractions of the files, at least one file each.
    seed
        Of the split and of the noise.
    array
        Which array of stacks that hold several.

    Raises
    ------
    DatasetError
        If the patch is too small, or the fractions leave nothing to train on.
    """

    patch: int | None = None
    channels: int | None = None
    noise: float = 0.1
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    array: str | None = None

    def __post_init__(self) -> None:
        if self.patch is not None and self.patch < 2:
            raise DatasetError(f"patches of side {self.patch}: at least 2 is expected.")
        if not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1):
            raise DatasetError(
                f"fractions {self.validation} for validation and {self.test} for test: both must be positive, and "
                "together below 1."
            )


@dataclass(frozen=True)
class ImageSets:
    """Images of different files to learn from, to watch and to test on.

    Attributes
    ----------
    train, validation, test
        Data sets of one `ImageDenoising`, float32: ``noisy`` and ``clean``.
    found
        What was found, one sentence each.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    found: list[str]

    @property
    def problem(self) -> ImageDenoising:
        """What the images are."""
        problem = self.train.problem
        assert isinstance(problem, ImageDenoising)
        return problem


def read_images(path: Path | str, options: ReadingOptions = ReadingOptions()) -> ImageSets:
    """Images of a folder (and its subfolders), split by file; or fields of one file, split by sample.

    Pictures (PNG, JPEG, TIFF, BMP) and arrays (.npy, .npz, HDF5) may be mixed. Values are brought to [0, 1]: those of
    bytes and 16-bit pictures by the range of their type, others, unless they lie there already, linearly by the range
    of the training data.

    Parameters
    ----------
    path
        The folder or file.
    options
        Patches, channels, noise, split.

    Raises
    ------
    DatasetError
        If there are fewer than three files (or samples), one is broken, smaller than a patch, of another number of
        channels or of axes, or nothing varies.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for k in range(5):
    ...         np.save(f"{folder}/{k}.npy", np.random.default_rng(k).random((40, 64)))
    ...     sets = read_images(folder, ReadingOptions(patch=16))
    >>> sets.train.count, sets.test.inputs["noisy"].shape
    (24, torch.Size([8, 1, 16, 16]))
    """
    path = Path(path)
    fields = _read(path, options)
    if len(fields) == 1:  # samples of a stack stand for the files
        ((name, stack),) = fields.items()
        fields = {f"{name}[{k}]": stack[k : k + 1] for k in range(len(stack))}
    parts = _split(list(fields), path, options)
    patches = [torch.cat([cut_patches(fields[n], options.patch, n) for n in names]) for names in parts]
    low, high = _range(patches[0], path)
    (_, channels, *shape) = patches[0].shape
    problem = ImageDenoising(str(path), tuple(shape), channels, options.noise, low, high)
    train, validation, test = (
        _dataset(problem, (part - low) / (high - low), f"{path.stem} {what}", seed_of("image noise", options.seed, k))
        for k, (part, what) in enumerate(zip(patches, ("training", "validation", "test"), strict=True))
    )
    return ImageSets(train, validation, test, _found(path, parts, (train, validation, test)))


def read_test_images(path: Path | str, problem: ImageDenoising, seed: int = 0, array: str | None = None) -> Dataset:
    """Images of another folder or file as test data of a problem that `read_images` posed: its scale, noise and size.

    Images larger than those of the problem are cut into patches of its size, colour is made grey where it is.

    Raises
    ------
    DatasetError
        As `read_images`, if they do not fit the problem.
    """
    path = Path(path)
    (side, *others) = problem.shape
    square = all(n == side for n in others)
    fields = _read(path, ReadingOptions(side if square else None, problem.channels, problem.noise, array=array))
    clean = torch.cat([cut_patches(values, side if square else None, name) for name, values in fields.items()])
    if tuple(clean.shape[2:]) != tuple(problem.shape):
        raise DatasetError(f"{path}: {_points(clean)} points, but the problem has {'×'.join(map(str, problem.shape))}.")
    scaled = (clean - problem.low) / (problem.high - problem.low)
    return _dataset(problem, scaled, path.stem, seed_of("image noise", seed, 2))


def is_image_folder(path: Path | str) -> bool:
    """Whether a folder holds pictures, itself or below."""
    return Path(path).is_dir() and any(file.suffix.lower() in PICTURES for file in Path(path).rglob("*"))


def _read(path: Path, options: ReadingOptions) -> dict[str, Tensor]:
    """The images ``(samples, channels, *grid)`` of every file, alike; patches may come from several sizes."""
    fields = {str(f): to_channels(read_fields(f, options.array), options.channels, f) for f in _files(path)}
    _require_alike(fields, whole=options.patch is None)
    return fields


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError(f"{path}: no such file or folder.")
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in READABLE and f.is_file() and f.name[0] != ".")
    if not files:
        raise DatasetError(f"{path}: no images in this folder: {', '.join(sorted(READABLE))} are read.")
    return files


def _require_alike(fields: dict[str, Tensor], whole: bool) -> None:
    (first, model), *others = fields.items()
    for name, values in others:
        if values.shape[1] != model.shape[1]:
            raise DatasetError(
                f"{name}: {values.shape[1]} channels, but {first} has {model.shape[1]}: one kind of image is expected; "
                "channels=1 turns colour into grey."
            )
        if values.ndim != model.ndim:
            raise DatasetError(f"{name}: {values.ndim - 2} axes, but {first} has {model.ndim - 2}: keep them apart.")
        if whole and values.shape[2:] != model.shape[2:]:
            raise DatasetError(
                f"{name}: {_points(values)} points, but {first} has {_points(model)}: images of different sizes must "
                "be cut into patches of one size."
            )


def _points(images: Tensor) -> str:
    return "×".join(map(str, images.shape[2:]))


def _split(names: Sequence[str], path: Path, options: ReadingOptions) -> tuple[list[str], list[str], list[str]]:
    if len(names) < 3:
        raise DatasetError(f"{path}: {len(names)} images: at least 3 are needed, to train, to validate and to test.")
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(options.seed)).tolist()
    kept = [max(1, round(fraction * len(names))) for fraction in (options.validation, options.test)]
    if sum(kept) >= len(names):
        kept = [1, 1]
    first, second = kept[0], sum(kept)
    chosen = order[second:], order[:first], order[first:second]
    train, validation, test = ([names[i] for i in sorted(part)] for part in chosen)
    return train, validation, test


def _range(values: Tensor, path: Path) -> tuple[float, float]:
    """What becomes 0 and 1."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise DatasetError(f"{path}: every value is {low:g}: nothing can be learned from it.")
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _dataset(problem: ImageDenoising, clean: Tensor, name: str, seed: int) -> Dataset:
    clean = clean.to(torch.float32)
    drawn = problem.corrupted(clean, torch.Generator().manual_seed(seed))
    return Dataset(problem, Batch({"noisy": drawn["noisy"]}), Batch({"clean": clean}), name)


def _found(path: Path, parts: Sequence[Sequence[str]], sets: Sequence[Dataset]) -> list[str]:
    problem = sets[0].problem
    assert isinstance(problem, ImageDenoising)
    numbers = ", ".join(
        f"{len(names)} to {purpose} ({data.count} samples)"
        for names, data, purpose in zip(parts, sets, ("train", "validate", "test"), strict=True)
    )
    kind = f"{problem.channels} channel{'s' * (problem.channels > 1)}, {'×'.join(map(str, problem.shape))}"
    sentences = [f"{path}: {sum(map(len, parts))} images of {kind}: {numbers}; they share no image."]
    if (problem.low, problem.high) != (0.0, 1.0):
        sentences.append(f"{path}: values from {problem.low:.4g} to {problem.high:.4g} became 0 to 1.")
    return sentences
