"""Training an affect estimator."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.config import EstimatorConfig, EstimatorTraining
from faceedit.data.crops import BalancedSampler, Crops, expression_groups
from faceedit.evaluation.metrics import agreement
from faceedit.models.estimator import Estimator
from faceedit.training.augment import augment
from faceedit.training.trainer import Trainer

WARM_UP = 0.03  # of the run
RAMP = 0.4  # of the run, over which perturbations grow: at full length from the start, they stop all learning
# A regressor's estimates shrink towards the mean. They are rescaled to this slope against labels.
SLOPE = 0.95
BATCH = 256  # without gradients


class EstimatorTrainer(Trainer[EstimatorTraining, EstimatorConfig, Estimator]):
    """Trains by concordance and squared error of affect, and by the divergence from expression probabilities."""

    def __init__(self, training: EstimatorTraining, network: EstimatorConfig, crops: Crops, device: str):
        torch.manual_seed(training.seed)
        net, nets = self.networks_for(network)
        net.to(device).to(memory_format=torch.channels_last)
        decayed = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, fused=device != "mps")
        halves = [torch.arange(len(crops))[i::2] for i in (0, 1)]
        self.other_half = crops.subset(halves[1 - training.half])
        crops = crops.subset(halves[training.half])
        # Rare affect and expressions are over-sampled, or the estimator would not learn them.
        sampler = BalancedSampler(expression_groups(crops), training.batch, training.seed, power=0.5, max_repeats=8)
        super().__init__(training, network, net, nets, {"estimator": optimizer}, crops, sampler, device)

    @staticmethod
    def networks_for(network: EstimatorConfig) -> tuple[Estimator, dict[str, nn.Module]]:
        estimator = Estimator(network)
        return estimator, {"estimator": estimator}

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        config = self.training
        # Dropout uses the global generator. Each process needs its own seed.
        torch.manual_seed((self.shard.rank << 55) + self.training.seed * 10_000_019 + self.step)
        rate = min(progress / WARM_UP, 1) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 0.01
        for group in self.optimizers["estimator"].param_groups:
            group["lr"] = config.learning_rate * rate
        indices = self.sampler.indices(self.step)[self.shard.here]
        images, affect = self.crops.batch(indices, self.device)
        wanted = self.crops.probabilities[indices].to(self.device)
        images = augment(images, self.network.image_size, self.generator(0))
        if config.perturbation:
            images = self._perturbed(images, affect, wanted, config.perturbation * min(progress / RAMP, 1))
        losses = {}
        with self.autocast():
            estimate, logits = self.published(images.contiguous(memory_format=torch.channels_last))
        estimate, logits = estimate.float(), logits.float()
        losses["affect"] = functional.mse_loss(estimate, affect) * 4
        losses["concordance"] = 1 - _concordance(self.shard.whole(estimate), self.shard.whole(affect)).mean()
        losses["expression"] = _divergence(logits, wanted)
        total = losses["affect"] + losses["concordance"] + config.expression_weight * losses["expression"]
        self.update("estimator", total)
        self.update_ema()
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def _perturbed(
        self, images: torch.Tensor, affect: torch.Tensor, wanted: torch.Tensor, longest: float
    ) -> torch.Tensor:
        """Adversarial examples: crops moved along the gradient of their error by random lengths up to the longest."""
        images = images.requires_grad_()
        with self.autocast():
            estimate, logits = self.published(images)
        error = functional.mse_loss(estimate.float(), affect) * 4 + _divergence(logits.float(), wanted)
        (gradient,) = torch.autograd.grad(error, images)
        direction = gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-12)
        lengths = longest * self.generator(1).rand(1, 1, 1)
        return (images + direction * lengths.to(images)).detach()

    def finish(self) -> None:
        estimate, affect = self._estimate(self.other_half)
        scale, shift = [], []
        for i in range(2):
            slope = agreement(affect[:, i].numpy(), estimate[:, i].numpy())["slope"]
            scale.append(SLOPE / max(slope, 0.2))
            shift.append((affect[:, i].mean() - estimate[:, i].mean() * scale[-1]).item())
        self.ema.rescale(*(torch.tensor(values, device=self.device) for values in (scale, shift)))

    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        estimate, affect = self._estimate(validation)
        figures: dict[str, float] = {}
        for i, name in enumerate(("valence", "arousal")):
            measured = agreement(affect[:, i].numpy(), estimate[:, i].numpy())
            figures |= {f"{name} {key}": measured[key] for key in ("correlation", "slope", "ccc")}
        return figures, {}

    @torch.inference_mode()
    def _estimate(self, crops: Crops) -> tuple[torch.Tensor, torch.Tensor]:
        """The averaged network's estimates for crops, and their labels, each (M, 2) on the CPU."""
        estimates = []
        for indices in torch.arange(len(crops)).split(BATCH):
            estimates.append(self.ema(crops.batch(indices, self.device)[0])[0].float().cpu())
        return torch.cat(estimates), crops.affect.cpu()


def _divergence(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean Kullback-Leibler divergence of expression logits (N, 8) from probabilities; rows of zeros count for
    nothing."""
    return functional.kl_div(logits.log_softmax(1), wanted, reduction="none").sum(1).mul(wanted.sum(1) > 0).mean()


def _concordance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Lin's concordance correlation coefficient of each column of (N, 2) with the other's, (2,)."""
    covariance = ((a - a.mean(0)) * (b - b.mean(0))).mean(0)
    denominator = a.var(0, correction=0) + b.var(0, correction=0) + (a.mean(0) - b.mean(0)) ** 2
    return 2 * covariance / denominator.clamp_min(1e-6)
