"""How precisely matrix products are made in training."""

from __future__ import annotations

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def suitable_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of the numbers that matrix products and convolutions take in training.

    Processors with matrix units for bfloat16 are up to ten times faster with it. Its eight binary digits are enough for
    gradients that are noisy anyway; parameters, sums and likelihoods stay in float32.

    Parameters
    ----------
    name : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 where the device has such units, else float32.
    device : torch.device

    Raises
    ------
    ValueError
        If there is no such precision.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision is {name!r}; choose one of {', '.join(PRECISIONS)}.")
    if name == "auto":
        return torch.bfloat16 if _has_units(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _has_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    # Emulated bfloat16 is slower than float32, so that asking for support is not enough.
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
