"""Choosing where the networks run, and how many inputs at a time."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch

from faceedit.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")
Result = TypeVar("Result")


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
        raise UsageError(f"this machine has no {name} device that torch can use; choose the CPU")
    return name


def as_images(pixels: np.ndarray | torch.Tensor, device: str) -> torch.Tensor:
    """Crops (N, S, S, 3) uint8 as networks take them: (N, 3, S, S) float32 in [-1, 1] on the device."""
    return torch.as_tensor(pixels).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def in_batches(work: Callable[[torch.Tensor], Result], inputs: torch.Tensor, max_batch: int) -> Iterator[Result]:
    """Yields what `work` returns, without gradients, for each batch of the inputs (N, ...).

    A batch holds `max_batch` inputs. Where the memory of the device does not suffice, it is halved. Raises
    torch.OutOfMemoryError where memory does not suffice for one input.
    """
    start = 0
    while start < len(inputs):
        batch = inputs[start : start + max_batch]
        try:
            with torch.inference_mode():
                result = work(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            max_batch = len(batch) // 2
        else:
            yield result
            start += len(batch)
