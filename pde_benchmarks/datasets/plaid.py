"""Data sets in the layout of PLAID (Casenave et al. 2025, arXiv 2505.02974), read by its own package `pyplaid`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, overload

import numpy as np

from meshes import Mesh
from meshes.interchange.cgns_trees import from_cgns_tree
from pde_benchmarks.datasets.mesh_samples import MeshFolder, mesh_samples, wanted_of
from pde_benchmarks.errors import DatasetError

__all__ = ["read_plaid"]

#: Where PLAID keeps fields at points, and numbers of a sample.
_POINT_FIELDS, _GLOBALS = "VertexFields", "Global"


def read_plaid(
    path: Path | str,
    split: str = "train",
    fields: Sequence[str] | None = None,
    *,
    cell_fields: Sequence[str] = (),
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    definition: str | None = None,
    base: str | None = None,
    time: float | None = None,
) -> MeshFolder:
    """Samples of one split of a PLAID data set on disk, of any of its storages (cgns, hf_datasets, zarr).

    Nothing is downloaded: ``plaid.storage.download_from_hub`` does that. Nodal tags become node sets. PLAID's storage
    hf_datasets holds float32: there values have seven digits.

    Parameters
    ----------
    path
        The folder with ``infos.yaml`` and ``data/``.
    split
        Name of a split in the storage.
    fields, cell_fields
        As for `read_mesh_folder`.
    inputs, outputs
        Names of scalars (PLAID's globals) that a learner is given, and that it predicts.
    definition
        Name of one of the data set's problem definitions, which says what `fields`, `inputs` and `outputs` are where
        they are None; it may be left out if there is only one. Without any, `fields` None means all fields at vertices,
        and the others none.
    base
        Name of the CGNS base with the mesh; by default the one whose cells have the largest dimension.
    time
        Instant, if samples have several.

    Raises
    ------
    DatasetError
        `pyplaid` is missing or too old, the folder is no PLAID data set, it has no such split or definition, or as for
        `read_mesh_folder`.

    Examples
    --------
    A split of the plates of PLAID's collection, with the package installed::

        plates = read_plaid("Tensile2d", "train", ["U1", "U2"], inputs=["P", "E"], outputs=["max_von_mises"])
    """
    path = Path(path)
    storage = _plaid_storage(path)
    if not (path / "infos.yaml").is_file():
        raise DatasetError(f"{path}: no infos.yaml in it: expected the folder of a PLAID data set (layout 1.0).")
    _refuse_old_zarr(path, split)
    try:
        datasets, converters = storage.init_from_disk(str(path))
        definitions = storage.load_problem_definitions_from_disk(str(path)) or {}
    # The package does not say what it raises over a folder that is damaged or not its own.
    except Exception as error:
        raise DatasetError(f"{path}: not a PLAID data set, or damaged ({type(error).__name__}: {error}).") from error
    if split not in datasets:
        raise DatasetError(f"{path}: no split {split!r}; there are {', '.join(sorted(datasets)) or 'none'}.")
    if None in (fields, inputs, outputs):
        given, predicted = _features(path, definitions, definition)
        fields = _ends(predicted, _POINT_FIELDS) if fields is None and predicted is not None else fields
        inputs = _ends(given or (), _GLOBALS) if inputs is None else inputs
        outputs = _ends(predicted or (), _GLOBALS) if outputs is None else outputs
    wanted = wanted_of(fields, cell_fields, inputs, outputs or ())
    samples = PlaidSamples(path, datasets[split], converters[split], _ids(datasets[split]), base, time)
    return mesh_samples(path, samples, tuple(f"{split}/{i}" for i in samples.ids), wanted, None)


@dataclass(frozen=True)
class PlaidSamples(Sequence[Mesh]):
    """Meshes of a split, read when they are asked for; their global data are PLAID's globals that are numbers."""

    path: Path
    dataset: Any = field(repr=False)
    converter: Any = field(repr=False)
    ids: tuple[int, ...] = field(repr=False)
    base: str | None = None
    time: float | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> PlaidSamples: ...

    def __getitem__(self, index: int | slice) -> Mesh | PlaidSamples:
        if isinstance(index, slice):
            return replace(self, ids=self.ids[index])
        number = self.ids[index]
        try:
            trees = dict(self.converter.to_plaid(self.dataset, number).data)
        # As above: anything may be raised over damaged arrays.
        except Exception as error:
            raise DatasetError(f"{self.path}, sample {number}: damaged ({type(error).__name__}: {error}).") from error
        if self.time is None and len(trees) != 1:
            raise DatasetError(
                f"{self.path}, sample {number}: {len(trees)} instants ({_few(trees)}): choose one, time=."
            )
        instant = next(iter(trees)) if self.time is None else self.time
        if instant not in trees:
            raise DatasetError(f"{self.path}, sample {number}: no instant {instant}; it has {_few(trees)}.")
        mesh = from_cgns_tree(trees[instant], self.base)
        return replace(mesh, global_data=_globals(trees[instant]))


def _plaid_storage(path: Path) -> ModuleType:
    """The part of PLAID that reads; its import sets up logging for the whole program, which is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        storage = import_module("plaid.storage")
    except ImportError as error:
        raise DatasetError(
            f"{path}: data sets of PLAID are read by the package pyplaid, which is missing or incomplete ({error}): "
            "pip install 'pyplaid>=1.0'"
        ) from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    if not hasattr(storage, "init_from_disk"):
        raise DatasetError(f"{path}: this version of pyplaid cannot read its layout 1.0: pip install 'pyplaid>=1.0'")
    return storage


def _refuse_old_zarr(path: Path, split: str) -> None:
    """Zarr arrays of format 2 may name Python's pickle as their filter, which could run foreign code."""
    folder = path / "data" / split
    if any(folder.glob(".z*")) or any(folder.glob("*/.z*")) or any(folder.glob("*/*/.z*")):
        raise DatasetError(f"{folder}: Zarr of format 2, expected 3: write the data set again with pyplaid 1.0.")
    head = folder / "zarr.json"
    if head.is_file() and json.loads(head.read_text(encoding="utf-8")).get("zarr_format") != 3:
        raise DatasetError(f"{head}: expected zarr_format 3: write the data set again with pyplaid 1.0.")


def _ids(dataset: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in getattr(dataset, "ids", range(len(dataset))))


def _features(
    path: Path, definitions: Mapping[str, Any], name: str | None
) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    """Paths of input and of output features of a problem definition; None where there is none."""
    known = ", ".join(map(repr, sorted(definitions))) or "none"
    if name is not None and name not in definitions:
        raise DatasetError(f"{path}: no problem definition {name!r}; there are {known}.")
    if name is None and len(definitions) > 1:
        raise DatasetError(
            f"{path}: {len(definitions)} problem definitions ({known}): choose one by definition=, or give fields, "
            "inputs and outputs."
        )
    if not definitions:
        return None, None
    chosen = definitions[name] if name is not None else next(iter(definitions.values()))
    return chosen.input_features, chosen.output_features


def _ends(features: Sequence[str], place: str) -> tuple[str, ...]:
    """Last parts of the paths of features that stand in one place: ``Global/P`` or ``Base/Zone/VertexFields/U1``."""
    return tuple(parts[-1] for parts in (path.split("/") for path in features) if parts[-2:-1] == [place])


def _globals(tree: list[Any]) -> dict[str, Any]:
    bases = [node for node in tree[2] if node[0] == _GLOBALS]
    values = {node[0]: np.asarray(node[1]) for base in bases for node in base[2] or () if node[3] == "DataArray_t"}
    return {name: array for name, array in values.items() if array.dtype.kind in "biuf"}


def _few(times: Mapping[float, object]) -> str:
    return ", ".join(f"{t:g}" for t in list(times)[:5]) + (", …" if len(times) > 5 else "") or "none"
