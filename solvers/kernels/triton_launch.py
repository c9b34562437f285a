"""Launch a Triton kernel on the device of its tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from triton.runtime.jit import JITFunction

from solvers.errors import DeviceError

__all__ = ["launch"]


def launch(kernel: Any, programs: int, out: Tensor, *arguments: Any, **constants: Any) -> Tensor:
    """Run so many programs of the kernel on the device of `out`, its first argument; returns `out`.

    Raises
    ------
    DeviceError
        `out` is not on a GPU, and the kernel is a compiled one (Triton's interpreter takes tensors of any device).
    """
    if not out.is_cuda and isinstance(kernel, JITFunction):
        raise DeviceError(
            f"tensor on {out.device}: the backend 'gpu' needs tensors on a GPU; move them there, or let their device "
            "choose the backend (with TRITON_INTERPRET=1 in the environment it runs anywhere, slowly, for tests)"
        )
    if programs:
        # Triton launches on the current device, which need not be that of the tensors.
        with torch.cuda.device_of(out):
            kernel[(programs,)](out, *arguments, **constants)
    return out
