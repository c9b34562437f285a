"""Data sets: in memory, generated, in the package's own files, and in the formats that people already have."""

from pde_benchmarks.datasets.alignment import detect_alignment
from pde_benchmarks.datasets.container import read_dataset_file, write_dataset
from pde_benchmarks.datasets.dataset import Dataset, FieldSummary, summary
from pde_benchmarks.datasets.generation import cache_directory, cached, generate
from pde_benchmarks.datasets.mesh_folders import read_mesh_folder, read_mesh_splits
from pde_benchmarks.datasets.mesh_generation import cached_meshes, generate_meshes
from pde_benchmarks.datasets.mesh_samples import MeshFolder
from pde_benchmarks.datasets.plaid import read_plaid
from pde_benchmarks.datasets.readers import read_dataset, read_inputs

__all__ = [
    "Dataset",
    "FieldSummary",
    "MeshFolder",
    "cache_directory",
    "cached",
    "cached_meshes",
    "detect_alignment",
    "generate",
    "generate_meshes",
    "read_dataset",
    "read_dataset_file",
    "read_inputs",
    "read_mesh_folder",
    "read_mesh_splits",
    "read_plaid",
    "summary",
    "write_dataset",
]
