"""Choosing where the networks run."""

import torch

from faceedit.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def available_devices() -> list[str]:
    """The devices of this machine that torch can use, the fastest first."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, usable in there.items() if usable]


def resolve_device(name: str = "auto") -> str:
    """The device by name; "auto" is CUDA or Apple's MPS where there is one, else the CPU. Raises UsageError."""
    usable = available_devices()
    if name == "auto":
        return usable[0]
    if name not in DEVICES:
        raise UsageError(f"device must be one of {', '.join(DEVICES)}, not {name}")
    if name not in usable:
        raise UsageError(f"this machine has no {name} device that torch can use; choose --device cpu")
    return name
