"""Data sets: in memory, generated, in the package's own files, and in the formats that people already have."""

from pde_benchmarks.datasets.container import read_dataset_file, write_dataset
from pde_benchmarks.datasets.dataset import Dataset, FieldSummary
from pde_benchmarks.datasets.generation import cache_directory, cached, generate

__all__ = [
    "Dataset",
    "FieldSummary",
    "cache_directory",
    "cached",
    "generate",
    "read_dataset_file",
    "write_dataset",
]
