"""Training by several processes, each with its shard of every batch, as one process with the whole batch would train.

Process r of W has the images r, r + W, r + 2W … of a batch. Random numbers are drawn for the whole batch, gradients and
the statistics of batch normalisation are means over all shards; so all processes keep the same weights, and these are,
to rounding, those of a single process. Two things differ: dropout, and a perceptual loss that is relative.
"""

import atexit
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any

import torch
from torch import distributed, nn

from faceedit.errors import FaceEditError, UsageError

LEAVING_SECONDS = 10.0  # that a process waits for the others when it ends


@dataclass(frozen=True)
class World:
    """The processes of a run: this one has `rank` in a world of `size`. Without a launcher, it is alone."""

    rank: int = 0
    size: int = 1
    group: Any = None  # of torch, for messages on the CPU, so that no process waits for a device

    def run_on_main(self, work: Callable[[], Any]) -> Any:
        """Run `work` on the main process and return its result on all; a FaceEditError is raised on all."""
        if self.size == 1:
            return work()
        result = error = None
        if self.rank == 0:
            try:
                result = work()
            except FaceEditError as raised:
                error = raised
        message = [result, error]
        distributed.broadcast_object_list(message, src=0, group=self.group)
        result, error = message
        if error is not None:
            raise error
        return result

    def synchronise(self, interrupted: bool = False) -> tuple[float, bool]:
        """The main process's clock in seconds, and whether any was interrupted: one all-reduce, the same on all."""
        now = time.monotonic()
        if self.size == 1:
            return now, interrupted
        message = torch.tensor([now if self.rank == 0 else -torch.inf, interrupted], dtype=torch.float64)
        distributed.all_reduce(message, distributed.ReduceOp.MAX, group=self.group)
        return message[0].item(), bool(message[1])


ALONE = World()


@cache
def current_world(device: str) -> World:
    """The processes that `accelerate launch` started, one a GPU, or this one alone. Raises UsageError."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return ALONE
    if device == "mps":
        raise UsageError("several processes cannot share mps: choose the CPU")
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise UsageError("several processes need Accelerate: pip install 'faceedit[train]'") from error
    state = PartialState(cpu=device == "cpu")
    group = distributed.new_group(backend="gloo")
    atexit.register(_leave, group)
    return World(state.process_index, state.num_processes, group)


def _leave(group: Any) -> None:
    """End the process group, together with the others that end: a process that exits while gloo's threads run, or
    whose peers have gone, is at times aborted."""
    with contextlib.suppress(RuntimeError):  # one has failed, and does not come
        distributed.monitored_barrier(group, timedelta(seconds=LEAVING_SECONDS))
    distributed.destroy_process_group()


class BatchGenerator:
    """A generator of random numbers for this process's images of a batch: every `step`-th of `count` from `first` on.

    It draws for the whole batch, on the CPU, so that an image gets the same numbers on any process and device.
    """

    def __init__(self, generator: torch.Generator, count: int, first: int = 0, step: int = 1):
        self.generator, self.count = generator, count
        self.here = slice(first, None, step)

    def __len__(self) -> int:
        return len(range(self.count)[self.here])

    def rand(self, *shape: int) -> torch.Tensor:
        """As torch.rand, (N, *shape) for N images."""
        return torch.rand(self.count, *shape, generator=self.generator)[self.here]

    def randn(self, *shape: int) -> torch.Tensor:
        """As torch.randn, (N, *shape) for N images."""
        return torch.randn(self.count, *shape, generator=self.generator)[self.here]

    def coins(self) -> torch.Tensor:
        """(N,) int64, 0 or 1."""
        return torch.randint(2, (self.count,), generator=self.generator)[self.here]

    def once(self) -> float:
        """One number in [0, 1) for the whole batch."""
        return torch.rand(1, generator=self.generator).item()

    def split(self, parts: int) -> list["BatchGenerator"]:
        """A generator for each part of the batch, as torch.tensor_split divides it."""
        counts = [len(part) for part in torch.empty(self.count).tensor_split(parts)]
        first, step = self.here.start, self.here.step
        return [BatchGenerator(self.generator, n, (first - sum(counts[:i])) % step, step) for i, n in enumerate(counts)]


class Shard:
    """One process's shard of each batch, and means over all shards. Raises UsageError where a shard would be empty."""

    def __init__(self, batch: int, world: World = ALONE):
        if batch < world.size:
            raise UsageError(f"{world.size} processes cannot share batches of {batch}: start fewer")
        self.batch, self.rank, self.alone = batch, world.rank, world.size == 1
        self.here = slice(world.rank, None, world.size)
        self.weight = len(range(batch)[self.here]) / batch

    def generator(self, seed: int) -> BatchGenerator:
        return BatchGenerator(torch.Generator().manual_seed(seed), self.batch, self.here.start, self.here.step)

    def average(self, tensors: list[torch.Tensor]) -> None:
        """Replace means over this shard by means over the batch: one all-reduce for all tensors."""
        if not self.alone:
            means = self.reduced(torch.cat([tensor.flatten() for tensor in tensors]))
            for tensor, mean in zip(tensors, means.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(mean.view(tensor.shape))

    def mean(self, x: torch.Tensor) -> torch.Tensor:
        """The mean over the batch, from x, the mean over this shard; gradients flow to every process."""
        return x if self.alone else _Mean.apply(x, self)

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        """The batch (B, …) of which x (N, …) is this shard; gradients flow to every process."""
        if self.alone:
            return x
        placed = x.new_zeros(self.batch, *x.shape[1:])
        placed[self.here] = x / self.weight
        return self.mean(placed)

    def normalise_together(self, network: nn.Module) -> None:
        """Make batch normalisation use the whole batch; torch's SyncBatchNorm runs on CUDA only."""
        for layer in network.modules():
            if not self.alone and isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.forward = partial(_batch_norm, layer, self)  # type: ignore[method-assign] # torch calls it

    def reduced(self, x: torch.Tensor) -> torch.Tensor:
        total = (x * self.weight).contiguous()
        distributed.all_reduce(total)
        return total


class _Mean(torch.autograd.Function):
    """An all-reduce with gradients: the loss is a mean over processes, so a gradient is one too."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, shard: Shard) -> torch.Tensor:
        ctx.shard = shard
        return shard.reduced(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.shard.reduced(gradient), None


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, shard: Shard, x: torch.Tensor) -> torch.Tensor:
    if not layer.training:
        return type(layer).forward(layer, x)
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    wide = x.float()
    mean = shard.mean(wide.mean(axes))
    wide = wide - mean.view(shape)
    variance = shard.mean(wide.square().mean(axes))
    with torch.no_grad():
        count = shard.batch * x[0, 0].numel()
        # All layers here track statistics.
        assert layer.momentum is not None
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.num_batches_tracked is not None
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * count / (count - 1), layer.momentum)
        layer.num_batches_tracked += 1
    out = wide * (variance + layer.eps).rsqrt().view(shape)
    if layer.affine:
        out = out * layer.weight.view(shape) + layer.bias.view(shape)
    return out.to(x.dtype)
