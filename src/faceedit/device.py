"""Choosing where the networks run."""

import torch

from faceedit.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str = "auto") -> str:
    """The device by name; "auto" is CUDA or Apple's MPS where there is one, else the CPU. Raises UsageError."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if name not in there:
        raise UsageError(f"device must be one of {', '.join(DEVICES)}, not {name}")
    if not there[name]:
        raise UsageError(f"this machine has no {name} device that torch can use; choose --device cpu")
    return name
