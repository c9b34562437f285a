"""Whole files or none: every write goes to a temporary file beside the target and replaces it in one step.

Whoever reads a file written here sees the old content or the new one, never half of it, even if the program is killed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sciml.errors import RunError
from solvers.files.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = [
    "ARRAY_FORMATS",
    "read_json",
    "read_metadata",
    "read_tensors",
    "read_text",
    "write_arrays",
    "write_bytes",
    "write_figure",
    "write_json",
    "write_tensors",
    "write_text",
]

# Safetensors knows no complex128, so complex tensors are stored as pairs of real numbers and named in the metadata. One
# entry holds everything: the library writes several in random order, and equal tensors should give equal bytes.
_ENTRY = "sciml"


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file atomically: temporary file in the same folder, flushed to the disk, then renamed.

    Raises
    ------
    RunError
        If the disk is full or the folder cannot be written; an older file of this name is then left as it was.
    """
    with replacing(Path(path), RunError) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; raises as `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, indented, keys in the given order; raises as `write_bytes`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_figure(path: Path | str, figure: Figure, dpi: int = 150) -> None:
    """Write a matplotlib figure as PNG, atomically; the same figure gives the same bytes."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=dpi, metadata={"Software": None})
    write_bytes(path, picture.getvalue())


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write named tensors (any device, any layout, real or complex) as one safetensors file, atomically.

    Parameters
    ----------
    path
        Target.
    tensors
        Name to tensor. Tensors that share memory are stored as often as they are named.
    metadata
        Any JSON-ready values; `read_metadata` returns them.

    Raises
    ------
    RunError
        As `write_bytes`.
    """
    import torch
    from safetensors.torch import save

    whole: dict[str, Tensor] = {}
    names = []
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu()
        if plain.is_complex():
            names.append(name)
            plain = torch.view_as_real(plain.resolve_conj())
        whole[name] = plain.clone(memory_format=torch.contiguous_format)
    entry = {"complex": names, "metadata": dict(metadata or {})}
    write_bytes(path, save(whole, {_ENTRY: json.dumps({**entry, "crc32": _checksum(whole, entry)})}))


def write_arrays(path: Path | str, arrays: Mapping[str, Tensor]) -> None:
    """Write named arrays in the format that the ending of ``path`` names: .npz, .npy, .h5, .hdf5, .pt or .mat.

    An ``.npy`` file holds the first array only.

    Raises
    ------
    RunError
        If the ending is another one, or as `write_bytes`.
    """
    path = Path(path)
    if path.suffix not in ARRAY_FORMATS:
        raise RunError(f"{path}: unknown ending {path.suffix!r}: use one of {', '.join(ARRAY_FORMATS)}.")
    content = BytesIO()
    ARRAY_FORMATS[path.suffix](content, {name: array.detach().cpu() for name, array in arrays.items()})
    write_bytes(path, content.getvalue())


def _npz(stream: BytesIO, arrays: Mapping[str, Tensor]) -> None:
    import numpy as np

    np.savez(stream, allow_pickle=False, **{name: array.numpy() for name, array in arrays.items()})


def _npy(stream: BytesIO, arrays: Mapping[str, Tensor]) -> None:
    import numpy as np

    np.save(stream, next(iter(arrays.values())).numpy(), allow_pickle=False)


def _hdf5(stream: BytesIO, arrays: Mapping[str, Tensor]) -> None:
    import h5py

    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.numpy())


def _pt(stream: BytesIO, arrays: Mapping[str, Tensor]) -> None:
    import torch

    torch.save(dict(arrays), stream)


def _mat(stream: BytesIO, arrays: Mapping[str, Tensor]) -> None:
    from scipy.io import savemat

    savemat(cast(Any, stream), {name: array.numpy() for name, array in arrays.items()}, do_compression=True)


ARRAY_FORMATS: dict[str, Callable[[BytesIO, Mapping[str, Tensor]], None]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".pt": _pt,
    ".mat": _mat,
}


def read_text(path: Path | str) -> str:
    """Read UTF-8 text.

    Raises
    ------
    RunError
        If the file is missing, unreadable or not text.
    """
    try:
        return _read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise RunError(f"{path}: not a text file: check the name.") from None


def read_json(path: Path | str) -> Any:
    """Read JSON.

    Raises
    ------
    RunError
        If the file is missing, unreadable, truncated or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise RunError(f"{path}: not JSON, or truncated (line {error.lineno}: {error.msg}).") from None


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote, on the CPU.

    Raises
    ------
    RunError
        If the file is missing, unreadable, truncated or not a safetensors file.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = _read_bytes(path)
    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError):
        raise RunError(f"{path}: not a safetensors file, or truncated ({len(content)} bytes).") from None
    entry = _entry(path, content)
    if entry.pop("crc32", None) not in (None, _checksum(tensors, entry)):
        raise RunError(
            f"{path}: its checksum does not match: the file was changed or damaged; restore it or make it anew."
        )
    for name in entry["complex"]:
        tensors[name] = torch.view_as_complex(tensors[name])
    return tensors


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Read the metadata given to `write_tensors`; empty for a safetensors file of another program.

    Raises
    ------
    RunError
        As `read_tensors`.
    """
    metadata: dict[str, Any] = _entry(path, _read_bytes(path))["metadata"]
    return metadata


def _checksum(tensors: Mapping[str, Tensor], entry: Mapping[str, Any]) -> int:
    """CRC-32 of names, types, shapes and values, and of what is written beside them; complex as pairs."""
    import torch

    found = zlib.crc32(json.dumps([entry["complex"], entry["metadata"]], sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def _entry(path: Path | str, content: bytes) -> dict[str, Any]:
    """Our entry in the header of a safetensors file: eight bytes of length, then JSON with the key ``__metadata__``."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text = header.get("__metadata__", {}).get(_ENTRY, "{}")
        return {"complex": [], "metadata": {}, **json.loads(text)}
    except ValueError:
        raise RunError(f"{path}: not a safetensors file, or truncated ({len(content)} bytes).") from None


def _read_bytes(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error}).") from None
