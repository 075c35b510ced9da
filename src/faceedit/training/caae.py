"""Training the paper's CAAE."""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.circumplex import affect_grid, grid_axis
from faceedit.config import CaaeConfig, CaaeTraining
from faceedit.data.crops import BalancedSampler, Crops, to_pixels
from faceedit.media.sheet import circumplex_grid, tile
from faceedit.models.caae import Caae, ImageDiscriminator, LatentDiscriminator, he_init
from faceedit.training.graph import Graphed
from faceedit.training.losses import bce
from faceedit.training.perceptual import perceptual_loss
from faceedit.training.trainer import Trainer

SHEET_FACES = 8
VALIDATION_BATCH = 64


class CaaeTrainer(Trainer[CaaeTraining, CaaeConfig, Caae]):
    """Trains by reconstruction, perceptual losses and two discriminators: of images with affect, and of latents."""

    def __init__(self, training: CaaeTraining, network: CaaeConfig, crops: Crops, device: str):
        torch.manual_seed(training.seed)
        caae, nets = self.networks_for(network)
        for net in nets.values():
            he_init(net)
            net.to(device).to(memory_format=torch.channels_last)
        adam = partial(
            torch.optim.Adam,
            lr=training.learning_rate,
            betas=(training.beta1, 0.999),
            fused=device != "mps",
            capturable=device == "cuda",
        )
        optimizers: dict[str, torch.optim.Optimizer] = {name: adam(net.parameters()) for name, net in nets.items()}
        sampler = BalancedSampler(crops.expression, training.batch, training.seed)
        super().__init__(training, network, caae, nets, optimizers, crops, sampler, device)
        self.image_discriminator, self.latent_discriminator = nets["image_discriminator"], nets["latent_discriminator"]
        self.perceptual = perceptual_loss(training.perceptual)
        if self.perceptual is not None:
            self.perceptual.to(device).to(memory_format=torch.channels_last)
        self._graphed = Graphed(self._learn)

    @staticmethod
    def networks_for(network: CaaeConfig) -> tuple[Caae, dict[str, nn.Module]]:
        caae = Caae(network)
        return caae, {
            "caae": caae,
            "image_discriminator": ImageDiscriminator(network),
            "latent_discriminator": LatentDiscriminator(network),
        }

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        images, affect = self.crops.batch(self.sampler.indices(self.step)[self.shard.here], self.device)
        # Twice as many photos: the paper's data set had twenty times as many.
        mirror = self.generator(1).coins().bool().to(self.device)[:, None, None, None]
        images = torch.where(mirror, images.flip(3), images).contiguous(memory_format=torch.channels_last)
        prior = self.generator(0).rand(self.network.z_dim) * 2 - 1
        learn = self._graphed if self.shard.alone else self._learn
        losses = learn(images, affect, prior.to(self.device))
        self.update_ema()
        self.step += 1
        return losses

    def _learn(self, images: torch.Tensor, affect: torch.Tensor, prior: torch.Tensor) -> dict[str, torch.Tensor]:
        """One update of all networks; prior: (N, z_dim), latents as they should be distributed."""
        config, caae, here = self.training, self.published, self.shard.here
        losses = {}
        with self.autocast():
            z = caae.encoder(images)
            decoded = caae.generator(z, affect)
            losses["reconstruction"] = functional.l1_loss(decoded.float(), images)
            total = losses["reconstruction"]
            if self.perceptual is not None:
                first = slice(max(len(range(config.perceptual_images)[here]), 1))
                losses["perceptual"] = self.perceptual(images[first], decoded[first]).float()
                total = total + config.perceptual_weight * losses["perceptual"]
            losses["adversarial"] = bce(self.image_discriminator(decoded, affect), 1)
            losses["latent"] = bce(self.latent_discriminator(z), 1)
            total = total + config.adversarial_weight * (losses["adversarial"] + losses["latent"])
        self.update("caae", total)

        with self.autocast():
            real, drawn = self.image_discriminator(images, affect), self.image_discriminator(decoded.detach(), affect)
            losses["image_discriminator"] = bce(real, 1) + bce(drawn, 0)
            losses["latent_discriminator"] = bce(self.latent_discriminator(prior), 1) + bce(
                self.latent_discriminator(z.detach()), 0
            )
        self.update("image_discriminator", losses["image_discriminator"])
        self.update("latent_discriminator", losses["latent_discriminator"])
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        total = 0.0
        for indices in torch.arange(len(validation)).split(VALIDATION_BATCH):
            images, affect = validation.batch(indices, self.device)
            total += (self.ema(images, affect) - images).abs().mean(dim=(1, 2, 3)).sum().item()
        faces = torch.linspace(0, len(validation) - 1, min(SHEET_FACES, len(validation))).long()
        images, affect = validation.batch(faces, self.device)
        samples = tile(np.stack([to_pixels(images), to_pixels(self.ema(images, affect))]))
        axis = grid_axis()
        targets = torch.from_numpy(affect_grid(axis)).to(self.device)
        z = self.ema.encoder(images[:1])
        cells = to_pixels(self.ema.generator(z.expand(len(targets), -1), targets))
        cells = cells.reshape(len(axis), len(axis), *cells.shape[1:])
        grid = circumplex_grid(cells, axis, tuple(affect[0].tolist()))
        return {"reconstruction": total / len(validation)}, {"samples": samples, "grid": grid}
