"""Fields on another scale: heavy-tailed ones may be easier to predict after a monotone map; left-out errors tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes import BoundedAsinh, Identity, Transform

__all__ = ["Variant", "best_variants", "blocks_of", "variants_of"]

#: Of the sizes of values that are not zero: the scales that asinh is tried with.
_SCALES = (0.5, 0.9)
#: Predictions on another scale end at so many times the largest value seen.
_BEYOND = 3.0
#: A map replaces the identity if it saves so large a share of the squared error.
_GAIN = 0.05


@dataclass(frozen=True)
class Variant:
    """A field seen through a monotone map, as part of a block of fields that are reduced together."""

    field: str
    block: str
    transform: Transform


def variants_of(blocks: Mapping[str, tuple[str, ...]], tried: Mapping[str, Tensor]) -> dict[str, Variant]:
    """Every field as it is, and those of which values are given also through asinh(value / scale).

    Parameters
    ----------
    blocks
        Name of each block to its fields.
    tried
        Name of a block to some values of its fields, which share their maps.

    Examples
    --------
    >>> values = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    >>> found = variants_of({"u": ("u",), "p": ("p@1", "p@2")}, {"p": values})
    >>> found["u"].transform, found["p@2|1"]
    (Identity(), Variant(field='p@2', block='p|1', transform=BoundedAsinh(scale=2.0, bound=9.0)))
    >>> list(found)
    ['u', 'p@1', 'p@2', 'p@1|1', 'p@2|1', 'p@1|2', 'p@2|2']
    """
    found: dict[str, Variant] = {}
    for block, fields in blocks.items():
        found |= {name: Variant(name, block, Identity()) for name in fields}
        sizes = tried[block].abs()[tried[block] != 0] if block in tried else torch.empty(0)
        if len(sizes):
            scales = torch.quantile(sizes, torch.tensor(_SCALES, dtype=sizes.dtype)).tolist()
            bound = _BEYOND * float(sizes.max())
            for i, scale in enumerate(scales, start=1):
                one = BoundedAsinh(scale, bound)
                found |= {f"{name}|{i}": Variant(name, f"{block}|{i}", one) for name in fields}
    return found


def blocks_of(variants: Mapping[str, Variant]) -> dict[str, tuple[str, ...]]:
    """Name of each block of variants to their keys.

    Examples
    --------
    >>> blocks_of(variants_of({"u": ("u",), "p": ("p@1", "p@2")}, {}))
    {'u': ('u',), 'p': ('p@1', 'p@2')}
    """
    found: dict[str, list[str]] = {}
    for key, variant in variants.items():
        found.setdefault(variant.block, []).append(key)
    return {block: tuple(keys) for block, keys in found.items()}


def best_variants(variants: Mapping[str, Variant], errors: Mapping[str, float]) -> dict[str, str]:
    """Name of each field to the key of its variant in the block with the least error; a tie is the identity's.

    Parameters
    ----------
    errors
        Name of each block to its left-out squared error.

    Examples
    --------
    >>> found = {"p": Variant("p", "p", Identity()), "p|1": Variant("p", "p|1", BoundedAsinh(2.0, 9.0))}
    >>> best_variants(found, {"p": 1.0, "p|1": 0.5}), best_variants(found, {"p": 1.0, "p|1": 0.99})
    ({'p': 'p|1'}, {'p': 'p'})
    """
    chosen: dict[str, str] = {}
    for key, variant in variants.items():
        before = chosen.get(variant.field)
        if before is None or errors[variant.block] < (1 - _GAIN) * errors[variants[before].block]:
            chosen[variant.field] = key
    return chosen
