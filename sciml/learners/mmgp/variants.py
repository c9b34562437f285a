"""Fields on another scale: heavy-tailed ones may be easier to predict after a monotone map; left-out errors tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes import BoundedAsinh, Identity, Transform

__all__ = ["Variant", "best_variants", "variants_of"]

#: Of the sizes of values that are not zero: the scales that asinh is tried with.
_SCALES = (0.5, 0.9)
#: Predictions on another scale end at so many times the largest value seen.
_BEYOND = 3.0
#: A map replaces the identity if it saves so large a share of the squared error.
_GAIN = 0.05


@dataclass(frozen=True)
class Variant:
    """A field seen through a monotone map."""

    field: str
    transform: Transform


def variants_of(fields: tuple[str, ...], tried: Mapping[str, Tensor]) -> dict[str, Variant]:
    """Every field as it is, and those of which values are given also through asinh(value / scale).

    Parameters
    ----------
    tried
        Name of a field to some of its values.

    Examples
    --------
    >>> found = variants_of(("u", "p"), {"p": torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)})
    >>> found["u"].transform, found["p|1"].transform, list(found)
    (Identity(), BoundedAsinh(scale=2.0, bound=9.0), ['u', 'p', 'p|1', 'p|2'])
    """
    found = {}
    for name in fields:
        found[name] = Variant(name, Identity())
        sizes = tried[name].abs()[tried[name] != 0] if name in tried else torch.empty(0)
        if len(sizes):
            scales = torch.quantile(sizes, torch.tensor(_SCALES, dtype=sizes.dtype)).tolist()
            bound = _BEYOND * float(sizes.max())
            maps = [BoundedAsinh(scale, bound) for scale in scales]
            found |= {f"{name}|{i}": Variant(name, one) for i, one in enumerate(maps, start=1)}
    return found


def best_variants(variants: Mapping[str, Variant], errors: Mapping[str, float]) -> dict[str, str]:
    """Name of each field to the key of the variant with the least left-out squared error; a tie is the identity's.

    Examples
    --------
    >>> found = {"p": Variant("p", Identity()), "p|1": Variant("p", BoundedAsinh(2.0, 9.0))}
    >>> best_variants(found, {"p": 1.0, "p|1": 0.5}), best_variants(found, {"p": 1.0, "p|1": 0.99})
    ({'p': 'p|1'}, {'p': 'p'})
    """
    chosen: dict[str, str] = {}
    for key, variant in variants.items():
        before = chosen.get(variant.field)
        if before is None or errors[key] < (1 - _GAIN) * errors[before]:
            chosen[variant.field] = key
    return chosen
