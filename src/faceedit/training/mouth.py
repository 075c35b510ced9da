"""Training the mouth inpainter: it fills in mouths that are hidden in photos.

Given the latent of the hidden mouth, it must draw that mouth, as a network trained on ImageNet sees it. Given another
photo's, it must draw a mouth that a discriminator, which sees what that network does, takes for a photo's. This is a
conditional variational autoencoder and a GAN in one (BicycleGAN, Zhu et al. 2017). No affect estimator supervises it.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.config import MouthConfig, MouthTraining
from faceedit.data.crops import BalancedSampler, Crops, to_pixels
from faceedit.errors import UsageError
from faceedit.media.sheet import tile
from faceedit.models.landmarker import Landmarker
from faceedit.models.lips import between_lips, lip_opening, upper_teeth_end
from faceedit.models.mouth.inpainter import (
    CONDITION,
    MouthEncoder,
    MouthInpainter,
    describe,
    mouth_mask,
    region,
    shown_to_network,
)
from faceedit.training.augment import affinities, moved, relit
from faceedit.training.distributed import BatchGenerator
from faceedit.training.latents import choose_latents
from faceedit.training.losses import total
from faceedit.training.measured import measured
from faceedit.training.projected import ImageNetFeatures, ProjectedDiscriminator, distance, hinge_loss, realism
from faceedit.training.trainer import Trainer
from faceedit.weights import load_model

CLOSED = 0.02  # of the crop's side: lips closer than that show nothing
WARM_UP, FALL = 200, 0.4  # steps; share of the run over which the learning rate falls to 0
OPENINGS, BLURS = (CLOSED, 0.04, 0.07, 0.1, 0.13), (0.9, 1.5, 2.1)  # bounds of the groups that are sampled alike
AROUSED = 0.4  # so are photos of a higher arousal, of which few are: surprise gapes as laughter does not
ROTATION, LOG_SCALE, SHIFT = 0.1, 0.12, 0.03  # radians, natural logarithm, of the side: each at most
RELIT, PARTLY = 0.5, 0.35  # shares of a batch: recoloured, with teeth kept
BEYOND_TEETH = -0.03, 0.11  # of the opening, from where teeth end to where what is hidden begins
GROW_OPEN, GROW_CLOSED = (-0.6, 2.6), (1.0, 4.5)  # pixels over the lips, to cover what warped lips leave behind
WIDE, TALLER = 0.06, (-0.3, 0.15)  # of the side; natural logarithms: mouths open wider get taller, or a little flatter
KEEP = 0.75  # of the opening, the most that is kept where it is not known where teeth end
CORNERS = -8.0, 20.0  # pixels at a side of 256, the radius that is hidden around corners: less than 0, nothing
ADVERSARY = 300  # steps over which the discriminator's weight rises
DISCRIMINATOR_RATE = 2.0  # times the learning rate
CENTRE = 0.1  # how much a mean counts in the latent's divergence: edits draw by latents of photos
SHEET_FACES, VALIDATION_FACES = 24, 128
OTHERS = 3  # photos' latents, side by side in a sheet
AFFECT = 2  # numbers, which the discriminator is told beside the condition
CHOICE = 1000  # steps, after which the latents that edits draw by are chosen again


class MouthTrainer(Trainer[MouthTraining, MouthConfig, MouthInpainter]):
    """Trains inpainter and encoder by reconstruction and by a projected discriminator (Sauer et al. 2021)."""

    def __init__(self, training: MouthTraining, network: MouthConfig, crops: Crops, device: str):
        if network.image_size % 128:
            raise UsageError(f"a mouth inpainter's image size must be a multiple of 128, not {network.image_size}")
        # Before all crops are measured, which takes minutes: it may be that it is not installed.
        self.features = ImageNetFeatures().to(device)
        landmarker = load_model(training.landmarks, Landmarker, device)
        torch.manual_seed(training.seed)
        inpainter, nets = self.networks_for(network)
        for net in nets.values():
            net.to(device)
        optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(net.parameters(), betas=(0.0, 0.99), fused=device != "mps")
            for name, net in nets.items()
        }
        landmarks, softness = measured(landmarker, crops, device)
        groups = torch.bucketize(lip_opening(landmarks), torch.tensor(OPENINGS)) * (len(BLURS) + 1)
        groups += torch.bucketize(softness, torch.tensor(BLURS))
        groups = 2 * groups + (crops.affect[:, 1] > AROUSED)
        sampler = BalancedSampler(groups, training.batch, training.seed, power=training.balance, max_repeats=8)
        super().__init__(training, network, inpainter, nets, optimizers, crops, sampler, device)
        self.encoder, self.discriminator = nets["autoencoder"].get_submodule("encoder"), nets["discriminator"]
        self.landmarker = landmarker
        self.landmarks, self.softness = landmarks.to(device), softness.to(device)

    @staticmethod
    def networks_for(network: MouthConfig) -> tuple[MouthInpainter, dict[str, nn.Module]]:
        inpainter = MouthInpainter(network)
        both = nn.ModuleDict({"inpainter": inpainter, "encoder": MouthEncoder(network)})
        return inpainter, {
            "autoencoder": both,
            "discriminator": ProjectedDiscriminator(AFFECT + CONDITION, network.discriminator_channels),
        }

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        config, inpainter, encoder = self.training, self.published, self.encoder
        for name, optimizer in self.optimizers.items():
            rate = config.learning_rate * min((self.step + 1) / WARM_UP, 1) * _fallen(progress)
            for group in optimizer.param_groups:
                group["lr"] = rate * (DISCRIMINATOR_RATE if name == "discriminator" else 1.0)
        images, mask, condition, affect, seen = self._hidden(self.sampler.indices(self.step)[self.shard.here])
        told = torch.cat([affect, condition], dim=1)
        noise = self.generator(1).randn(self.network.z_dim).to(self.device)
        half = _half(len(images))  # each with its own latent; the rest with the latents of these
        if self.step % CHOICE == 0:  # for whoever exports a run that has not ended
            self._choose_latents(inpainter)

        losses = {}
        with self.autocast():
            mean, log_variance = encoder(images[:half], mask[:half])
            own = mean + noise[:half] * (log_variance / 2).exp()
            others = own[: len(images) - half].detach()
            inpainted = torch.lerp(images, inpainter(seen, mask, condition, torch.cat([own, others])), mask)
            found, _ = encoder(inpainted[half:], mask[half:])
            with torch.no_grad():
                real_maps = self.features(images)
            drawn_maps = self.features(inpainted)
            drawn = self.discriminator(drawn_maps, mask, told)
            area = mask.mean((1, 2, 3)) + 0.01
            difference = inpainted - images
            losses["pixels"] = (difference[:half].abs().mean((1, 2, 3)) / area[:half]).mean()
            losses["features"] = distance(
                [x[:half] for x in drawn_maps], [x[:half] for x in real_maps], mask[:half]
            ).mean()
            # Other mouths that fit are about as bright and as red as this one.
            other, area = difference[half:], area[half:]
            losses["colours"] = (functional.avg_pool2d(other, 16).abs().mean((1, 2, 3)) / area).mean()
            # Else teeth turn green now and then: a discriminator hardly sees a tint.
            tint = functional.avg_pool2d(other - other.mean(1, keepdim=True), 8)
            losses["tint"] = (tint.abs().mean((1, 2, 3)) / area).mean()
            losses["adversarial"] = -realism(drawn)
            losses["latent"] = (CENTRE * mean.square() + log_variance.exp() - log_variance - 1).mean() / 2
            losses["recovered"] = (found - others).abs().mean()
        weights = {
            "pixels": config.pixel_weight,
            "features": config.feature_weight,
            "colours": config.colour_weight,
            "tint": config.tint_weight,
            "adversarial": config.adversarial_weight * min((self.step + 1) / ADVERSARY, 1),
            "latent": config.latent_weight,
            "recovered": config.recovery_weight,
        }
        self.update("autoencoder", total(weight * losses[name] for name, weight in weights.items()))
        with self.autocast():
            photos = self.discriminator(real_maps, mask, told)
            drawn = self.discriminator([x.detach() for x in drawn_maps], mask, told)
            losses["discriminator"] = hinge_loss(photos, drawn)
        self.update("discriminator", losses["discriminator"])
        self.update_ema()
        self.step += 1
        return {name: loss.detach().float() for name, loss in losses.items()}

    def _hidden(self, chosen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The mouth regions of these crops, mirrored, moved and recoloured at random; their masks, conditions and
        affect; and what the network sees of them."""
        images, affect = self.crops.batch(chosen, self.device)
        chosen = chosen.to(self.device)
        generator = self.generator(0)
        mirror = generator.rand() < 0.5
        theta = affinities(generator, ROTATION, LOG_SCALE, SHIFT)
        landmarks = self.landmarks[chosen]
        # Few photos gape: others, stretched, show what wider mouths would.
        stretch = (TALLER[0] + (TALLER[1] - TALLER[0]) * generator.rand()).exp()
        theta[:, :, 1] *= torch.where(lip_opening(landmarks).to(stretch.device) > WIDE, stretch, 1.0)[:, None]
        images, landmarks = moved(images, landmarks, mirror, theta)
        teeth = upper_teeth_end(between_lips(images, landmarks))
        rows, columns = region(images.shape[-1])
        images = relit(images[..., rows, columns].contiguous(), RELIT, generator)
        mask = self._mask(landmarks, teeth, generator)
        condition = describe(self.softness[chosen], landmarks)
        return images, mask, condition, affect, shown_to_network(images, mask, landmarks)

    def _mask(self, landmarks: torch.Tensor, teeth: torch.Tensor, generator: BatchGenerator) -> torch.Tensor:
        """A mask of the inside of open mouths, below kept teeth if any; for closed ones, of the line of the lips; in
        most, of the corners too. teeth: (N,), see `upper_teeth_end`.

        Teeth that an edit keeps are whole. Cut anywhere, they would go on below, and a mouth that opens would show a
        second row.
        """
        closed = lip_opening(landmarks) <= CLOSED
        grow, keep, partly, corners = (generator.rand().to(self.device) for _ in range(4))
        half = _half(
            len(partly)
        )  # teeth are kept in both of a pair, one of which gets the latent of the other, or in none
        partly = torch.cat([partly[:half], partly[: len(partly) - half]])
        (low, high), (low_closed, high_closed) = GROW_OPEN, GROW_CLOSED
        grow = torch.where(closed, low_closed + (high_closed - low_closed) * grow, low + (high - low) * grow)
        beyond = teeth + BEYOND_TEETH[0] + (BEYOND_TEETH[1] - BEYOND_TEETH[0]) * keep
        keep = torch.where(closed | (partly >= PARTLY), 0.0, torch.where(teeth.isnan(), KEEP * keep, beyond))
        corners = (CORNERS[0] + (CORNERS[1] - CORNERS[0]) * corners).clamp(min=0)
        return mouth_mask(landmarks, self.network.image_size, grow, keep, corners)

    @torch.no_grad()
    def finish(self) -> None:
        self._choose_latents(self.ema)

    def _choose_latents(self, inpainter: MouthInpainter) -> None:
        choose_latents(inpainter, self.encoder, self.crops, self.landmarks, self.softness)

    @torch.no_grad()
    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The distance of mouths with the latents of others from the photos, their detail and variety, and a sheet."""
        order = torch.linspace(0, len(validation) - 1, min(8 * VALIDATION_FACES, len(validation))).long()
        landmarks, softness = measured(self.landmarker, validation.subset(order), self.device)
        order, landmarks, softness = (
            x[lip_opening(landmarks) > CLOSED][:VALIDATION_FACES] for x in (order, landmarks, softness)
        )
        if not len(order):
            return {}, {}
        images, _ = validation.batch(order, self.device)
        rows, columns = region(images.shape[-1])
        images = images[..., rows, columns].contiguous()
        landmarks = landmarks.to(self.device)
        mask = mouth_mask(landmarks, self.network.image_size, 1.0)
        condition = describe(softness.to(self.device), landmarks)
        seen = shown_to_network(images, mask, landmarks)
        inpainted = []
        z, _ = self.encoder(images, mask)
        for _ in range(OTHERS):
            z = z.roll(1, 0)
            inpainted.append(torch.lerp(images, self.ema(seen, mask, condition, z).clamp(-1, 1), mask))
        off = [((x - images).abs() * mask).sum() / mask.sum() / 3 for x in inpainted]
        detail = [_detail(x, mask) / _detail(images, mask) for x in inpainted]
        spread = (torch.stack(inpainted).std(0) * mask).sum() / mask.sum() / 3
        figures = {"l1": torch.stack(off).mean(), "detail": torch.stack(detail).mean(), "spread": spread}
        columns_shown = [x[:SHEET_FACES] for x in (images, images * (1 - mask), *inpainted)]
        sheet = tile(np.stack([to_pixels(x) for x in columns_shown], axis=1))
        return {name: value.item() for name, value in figures.items()}, {"mouths": sheet}


def _half(count: int) -> int:
    """How many of a batch get their own latents: as many as the rest, or one more."""
    return (count + 1) // 2


def _fallen(progress: float) -> float:
    """The learning rate at `progress`, as a share of the highest: constant, then half a cosine down to 0."""
    return 0.5 + 0.5 * math.cos(math.pi * max(progress - (1 - FALL), 0) / FALL)


def _detail(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean absolute difference between neighbouring pixels inside the mask."""
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    return ((across * mask[..., 1:]).sum() + (down * mask[..., 1:, :]).sum()) / mask.sum()
