"""Training the network of folds: it draws the detail of a photo's skin, of which it sees none.

As it does not see a person's own folds, it learns what faces of an affect, an expression, an age and a light show on
average. No estimator of affect teaches it, and no discriminator.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.config import FoldConfig, FoldTraining
from faceedit.data.crops import BalancedSampler, Crops, expression_groups, to_pixels
from faceedit.errors import UsageError
from faceedit.media.sheet import tile
from faceedit.models.folds import TYPICAL_BLUR, FoldNetwork, describe, detail, shown_to_network, skin
from faceedit.models.landmarker import Landmarker
from faceedit.training.augment import affinities, moved, relit
from faceedit.training.measured import measured
from faceedit.training.trainer import Trainer
from faceedit.weights import load_model

WARM_UP = 100  # steps
ROTATION, LOG_SCALE, SHIFT = 0.05, 0.05, 0.015  # radians, natural logarithm, of the side: each at most
RELIT, ANY = 0.5, 0.3  # shares of a batch: in other light, without a class
ELSEWHERE = 0.2  # what eyes and mouths count for beside skin
SPREAD_WEIGHT = 0.002  # whose loss is in other units
OUTLIER = 0.3  # of light: beyond, a difference is hair or glasses
SHEET_FACES, VALIDATION_FACES = 16, 256


class FoldTrainer(Trainer[FoldTraining, FoldConfig, FoldNetwork]):
    """The network by the distance to the photos' own detail, and by the likelihood of what is left."""

    def __init__(self, training: FoldTraining, network: FoldConfig, crops: Crops, device: str):
        if network.image_size % 8:
            raise UsageError(f"the image size of a network of folds must be a multiple of 8, not {network.image_size}")
        landmarker = load_model(training.landmarks, Landmarker, device)
        torch.manual_seed(training.seed)
        folds, nets = self.networks_for(network)
        folds.to(device)
        optimizers: dict[str, torch.optim.Optimizer] = {
            "folds": torch.optim.AdamW(folds.parameters(), weight_decay=1e-3, fused=device != "mps")
        }
        landmarks, softness = measured(landmarker, crops, device)
        groups = 2 * expression_groups(crops) + (softness < TYPICAL_BLUR)
        sampler = BalancedSampler(groups, training.batch, training.seed, power=training.balance, max_repeats=20)
        super().__init__(training, network, folds, nets, optimizers, crops, sampler, device)
        self.landmarker = landmarker
        self.landmarks, self.softness = landmarks.to(device), softness.to(device)
        self.expressions = crops.probabilities.to(device)

    @staticmethod
    def networks_for(network: FoldConfig) -> tuple[FoldNetwork, dict[str, nn.Module]]:
        folds = FoldNetwork(network)
        return folds, {"folds": folds}

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        self.set_rate("folds", progress, WARM_UP)
        chosen = self.sampler.indices(self.step)[self.shard.here]
        images, affect = self.crops.batch(chosen, self.device)
        chosen = chosen.to(self.device)
        generator = self.generator(0)
        mirror, theta = generator.rand() < 0.5, affinities(generator, ROTATION, LOG_SCALE, SHIFT)
        images, landmarks = moved(images, self.landmarks[chosen], mirror, theta)
        images = relit(images, RELIT, generator)
        expressions = self.expressions[chosen] * (generator.rand() >= ANY).to(self.device)[:, None]
        with self.autocast():
            condition = describe(affect, expressions, self.softness[chosen])
            shown, spread = self.published(shown_to_network(images), landmarks, condition)
        weight = ELSEWHERE + (1 - ELSEWHERE) * skin(landmarks, images.shape[-1])
        wanted = detail(images)
        losses = {"detail": _distance(shown, wanted, weight)}
        apart = (wanted - shown.detach()).abs()
        losses["spread"] = (weight * (apart * (-spread).exp() + spread)).mean()
        losses["of none"] = _distance(torch.zeros_like(wanted), wanted, weight).detach()
        self.update("folds", losses["detail"] + SPREAD_WEIGHT * losses["spread"])
        self.update_ema()
        self.step += 1
        return {name: loss.detach().float() for name, loss in losses.items()}

    @torch.no_grad()
    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Which share of the variance of skin's detail the network explains, and what it shows."""
        order = torch.linspace(0, len(validation) - 1, min(VALIDATION_FACES, len(validation))).long()
        images, affect = validation.batch(order, self.device)
        landmarks, softness = (
            x.to(self.device) for x in measured(self.landmarker, validation.subset(order), self.device)
        )
        expressions = validation.probabilities[order].to(self.device)
        shown, spread = self.ema(shown_to_network(images), landmarks, describe(affect, expressions, softness))
        wanted, seen = detail(images), skin(landmarks, images.shape[-1])
        explained = 1 - ((shown - wanted).square() * seen).sum() / (wanted.square() * seen).sum()
        columns = [images, *((2 * x).expand(-1, 3, -1, -1) for x in (wanted, shown, 4 * spread.exp() - 0.5))]
        sheet = tile(np.stack([to_pixels(x[:SHEET_FACES].clamp(-1, 1)) for x in columns], axis=1))
        return {"explained": explained.item()}, {"folds": sheet}


def _distance(shown: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The weighted mean of the squared difference, of outliers of the absolute one (Huber)."""
    cost = functional.smooth_l1_loss(shown, wanted, beta=OUTLIER, reduction="none")
    return (weight * cost).mean() / OUTLIER
