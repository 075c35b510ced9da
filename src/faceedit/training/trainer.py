"""What all trainers share: optimisers, an average of the weights, and a state to resume from."""

import math
from copy import deepcopy
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from faceedit.circumplex import Support
from faceedit.config import NetworkConfig, TrainConfig
from faceedit.data.crops import BalancedSampler, Crops
from faceedit.kinds import configs_to_json
from faceedit.training.checkpoint import State
from faceedit.training.distributed import ALONE, BatchGenerator, Shard, World

OF_DEVICE = ("fused", "capturable")  # options of optimisers

Training_co = TypeVar("Training_co", bound=TrainConfig, covariant=True)
Network_co = TypeVar("Network_co", bound=NetworkConfig, covariant=True)
Published_co = TypeVar("Published_co", bound=nn.Module, covariant=True)


class Trainer(Generic[Training_co, Network_co, Published_co]):
    """Networks by name, one of which is published, and one step of training.

    A subclass has `train_step`, `validate`, and a static `networks_for` that returns the untrained networks of a
    configuration: the one to publish, and all of them by name. All randomness of a step must be a function of the seed
    and the step, so that a resumed run is the same run.
    """

    def __init__(
        self,
        training: Training_co,
        network: Network_co,
        published: Published_co,
        networks: dict[str, nn.Module],
        optimizers: dict[str, torch.optim.Optimizer],
        crops: Crops,
        sampler: BalancedSampler,
        device: str,
    ):
        self.training, self.network, self.device = training, network, device
        self.networks, self.optimizers = networks, optimizers
        self.published = published
        self.ema = deepcopy(published).requires_grad_(False).eval()
        self.support = Support.from_affect(crops.affect.numpy())
        # The crops are small beside a GPU's memory, and it would wait for copies of batches.
        self.crops = crops.to(device) if device == "cuda" else crops
        self.sampler = sampler
        self.world, self.shard = ALONE, Shard(sampler.batch)
        self.step = 0
        self.seconds = 0.0

    def join(self, world: World) -> None:
        """Train together with other processes that have the same trainer. Raises UsageError."""
        self.world, self.shard = world, Shard(self.sampler.batch, world)
        for net in self.networks.values():
            self.shard.normalise_together(net)

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        """One update of all networks; progress: the share of the run that is over, in [0, 1].

        Returns the losses, each a scalar on the device.
        """
        raise NotImplementedError

    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Figures of the averaged network on the validation crops, and sheets (H, W, 3) uint8 to look at."""
        raise NotImplementedError

    def finish(self) -> None:
        """Finish the averaged network after the last step."""

    def generator(self, purpose: int) -> BatchGenerator:
        """A generator of random numbers for one purpose in this step."""
        return self.shard.generator((self.training.seed * 16 + purpose) * 10_000_019 + self.step)

    def autocast(self) -> torch.autocast:
        """A context that computes in bfloat16 where the device does so natively."""
        if self.device == "cuda":
            return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
        known = self.device == "cpu" and hasattr(torch.cpu, "get_capabilities")  # not in torch 2.10
        native = known and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return torch.autocast("cpu", torch.bfloat16, enabled=native)

    def state(self) -> State:
        """All that `load_state` needs to resume exactly."""
        return {
            "configs": configs_to_json(self.network, self.training),
            "step": self.step,
            "seconds": self.seconds,
            "support": torch.from_numpy(self.support.counts),
            "ema": self.ema.state_dict(),
            "networks": {name: net.state_dict() for name, net in self.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load_state(self, state: State) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.ema.load_state_dict(state["ema"])
        for name, net in self.networks.items():
            net.load_state_dict(state["networks"][name])
            groups = self.optimizers[name].param_groups
            of_device = [{option: group[option] for option in OF_DEVICE} for group in groups]
            self.optimizers[name].load_state_dict(state["optimizers"][name])
            for group, kept in zip(self.optimizers[name].param_groups, of_device, strict=True):
                group.update(kept)  # the state may come from a run on another one

    def is_finite(self) -> bool:
        return all(parameter.isfinite().all() for net in self.networks.values() for parameter in net.parameters())

    def set_rate(self, name: str, progress: float, warm_up: int) -> None:
        """Give a network's optimiser this step's learning rate: it rises for some steps, and falls by half a cosine."""
        rate = self.training.learning_rate * min((self.step + 1) / warm_up, 1)
        for group in self.optimizers[name].param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * min(progress, 1)))

    def update(self, name: str, loss: torch.Tensor) -> None:
        """One step of a network's optimiser. No other network gets gradients from the loss."""
        self.optimizers[name].zero_grad()
        parameters = list(self.networks[name].parameters())
        loss.backward(inputs=parameters)
        self.shard.average([parameter.grad for parameter in parameters if parameter.grad is not None])
        self.optimizers[name].step()

    @torch.no_grad()
    def update_ema(self) -> None:
        decay = min(self.training.ema_decay, (1 + self.step) / (10 + self.step))  # short runs need a short average
        averages, parameters = (list(net.parameters()) for net in (self.ema, self.published))
        # In one call: on a GPU a call costs more than its computation.
        get_ema_multi_avg_fn(decay)(averages, parameters, None)
        for kept, buffer in zip(self.ema.buffers(), self.published.buffers(), strict=True):
            kept.copy_(buffer)


# A trainer of any kind, as the loop knows it.
AnyTrainer = Trainer[TrainConfig, NetworkConfig, nn.Module]
