"""Training the network of occlusion: it finds what was drawn before the faces of photos."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.config import OcclusionConfig, OcclusionTraining
from faceedit.data.crops import BalancedSampler, Crops, to_pixels
from faceedit.data.occluders import occlude
from faceedit.device import as_images
from faceedit.errors import UsageError
from faceedit.media.sheet import tile
from faceedit.models.landmarker import Landmarker
from faceedit.models.occlusion import OcclusionNetwork
from faceedit.training.augment import relit
from faceedit.training.measured import measured
from faceedit.training.trainer import Trainer
from faceedit.weights import load_model

WARM_UP = 100  # steps
RELIT = 0.5  # share of a batch
# Photos have glasses and hands that nobody marked. What the network takes for something, after this share of the
# training, with at least this logit, is not held against it (as in Reed et al. 2015).
TRUSTED_FROM, TRUSTED = 0.2, 0.5
SHEET_FACES, VALIDATION_FACES = 24, 256


class OcclusionTrainer(Trainer[OcclusionTraining, OcclusionConfig, OcclusionNetwork]):
    """The network by the cross-entropy of each pixel."""

    def __init__(self, training: OcclusionTraining, network: OcclusionConfig, crops: Crops, device: str):
        multiple = 2 ** len(network.channels)
        if network.image_size % multiple:
            raise UsageError(f"the image size must be a multiple of {multiple}, not {network.image_size}")
        landmarker = load_model(training.landmarks, Landmarker, device)
        torch.manual_seed(training.seed)
        model, nets = self.networks_for(network)
        model.to(device)
        optimizers: dict[str, torch.optim.Optimizer] = {
            "occlusion": torch.optim.AdamW(model.parameters(), weight_decay=1e-3, fused=device != "mps")
        }
        sampler = BalancedSampler(torch.zeros(len(crops), dtype=torch.long), training.batch, training.seed, power=0)
        super().__init__(training, network, model, nets, optimizers, crops, sampler, device)
        self.landmarker = landmarker
        self.landmarks = measured(landmarker, crops, device)[0].numpy()

    @staticmethod
    def networks_for(network: OcclusionConfig) -> tuple[OcclusionNetwork, dict[str, nn.Module]]:
        model = OcclusionNetwork(network)
        return model, {"occlusion": model}

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        self.set_rate("occlusion", progress, WARM_UP)
        chosen = self.sampler.indices(self.step)[self.shard.here]
        images, masks = _occluded(self.crops, chosen, self.landmarks, (self.training.seed, self.step))
        generator = self.generator(0)
        mirror = generator.coins().bool().to(self.device)[:, None, None, None]
        images, masks = (torch.where(mirror, x.flip(3), x) for x in (images.to(self.device), masks.to(self.device)))
        images = relit(images, RELIT, generator)
        with self.autocast():
            logits = self.published(images)
        cost = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
        if progress > TRUSTED_FROM:
            cost = cost * ((masks > 0) | (logits.detach() < TRUSTED))
        losses = {"occlusion": cost.mean()}
        self.update("occlusion", losses["occlusion"])
        self.update_ema()
        self.step += 1
        return {name: loss.detach().float() for name, loss in losses.items()}

    @torch.no_grad()
    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The intersection over union with what was drawn, and how much of photos as they are is taken for something;
        the sheet has both."""
        order = torch.linspace(0, len(validation) - 1, min(VALIDATION_FACES, len(validation))).long()
        landmarks = measured(self.landmarker, validation.subset(order), self.device)[0].numpy()
        images, masks = _occluded(validation.subset(order), torch.arange(len(order)), landmarks, (0,))
        plain, _ = validation.batch(order, self.device)
        found, in_plain = (
            torch.cat([(self.ema(x.to(self.device)) > 0).cpu() for x in some.split(32)]) for some in (images, plain)
        )
        both, either = (found & (masks > 0.5)).sum(), (found | (masks > 0.5)).sum()
        columns = [images, masks, found.float(), plain.cpu(), in_plain.float()]
        columns = [x if x.shape[1] == 3 else (2 * x - 1).expand(-1, 3, -1, -1) for x in columns]
        sheet = tile(np.stack([to_pixels(x[:SHEET_FACES]) for x in columns], axis=1))
        figures = {"iou": (both / either.clamp(min=1)).item(), "in photos": in_plain.float().mean().item()}
        return figures, {"occlusion": sheet}


def _occluded(
    crops: Crops, chosen: torch.Tensor, landmarks: np.ndarray, seed: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Some of the crops with things before them, (N, 3, S, S) in [-1, 1], and their masks (N, 1, S, S)."""
    pixels = crops.images[chosen.to(crops.images.device)].permute(0, 2, 3, 1).cpu().numpy()
    drawn = []
    for number, (index, image) in enumerate(zip(chosen.tolist(), pixels, strict=True)):
        rng = np.random.default_rng((*seed, index))
        drawn.append(occlude(image, landmarks[index], pixels[number - 1], rng))
    images, masks = (np.stack(part) for part in zip(*drawn, strict=True))
    return as_images(images, "cpu"), torch.from_numpy(masks)[:, None]
