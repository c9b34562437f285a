"""What a module has learned, as named tensors."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["module_tensors"]


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers of a module by name.

    Some packages hang plain values into ``state_dict`` (neuraloperator its constructor's arguments); these are no
    weights and are left out.
    """
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
