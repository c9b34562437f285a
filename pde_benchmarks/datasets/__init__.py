"""Data sets: in memory, generated, in the package's own files, and in the formats that people already have."""

from pde_benchmarks.datasets.alignment import detect_alignment
from pde_benchmarks.datasets.container import read_dataset_file, write_dataset
from pde_benchmarks.datasets.dataset import Dataset, FieldSummary, summary
from pde_benchmarks.datasets.generation import cache_directory, cached, generate
from pde_benchmarks.datasets.readers import read_dataset, read_inputs

__all__ = [
    "Dataset",
    "FieldSummary",
    "cache_directory",
    "cached",
    "detect_alignment",
    "generate",
    "read_dataset",
    "read_dataset_file",
    "read_inputs",
    "summary",
    "write_dataset",
]
