"""How the warping editor learns: its edits are to reach any supported affect, as the teacher estimates it, to move
landmarks as those of other faces move, and to look real to the discriminator."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.circumplex import affect_grid, grid_axis
from faceedit.config import WarpConfig, WarpTraining
from faceedit.data.crops import BalancedSampler, Crops, plane_bins, to_pixels
from faceedit.editing.compositing import edit_masks
from faceedit.errors import UsageError
from faceedit.evaluation.metrics import agreement
from faceedit.media.sheet import tile
from faceedit.models.caae import LatentDiscriminator
from faceedit.models.discriminators import ImageDiscriminator
from faceedit.models.editor import WarpEditor, rendered
from faceedit.models.estimator import EXPRESSIONS, Estimator
from faceedit.models.landmarker import Landmarker
from faceedit.models.lips import LOWER, kept_teeth_edge
from faceedit.models.sampling import pixel_centres
from faceedit.training.augment import affinities, augment, moved, relit
from faceedit.training.expression import fit, landmark_weights, outside, parting
from faceedit.training.losses import bce, bending_energy, total
from faceedit.training.measured import mouths
from faceedit.training.targets import Targets
from faceedit.training.trainer import Trainer
from faceedit.weights import load_model

WARM_UP = 0.02  # of the run
RAMP = 0.15  # of the run, over which weights rise that would stop all learning before there is an edit
STAGES = 3  # of the teacher, whose maps the image discriminator sees
DISCRIMINATOR_RATE = 2.0  # the image discriminator learns faster (Heusel et al. 2017)
MOUTH_WEIGHT = 4  # of the mouth, beside 1 for the rest of the face: it is small, and most is to be learnt there
AWAY = 15.0  # beside 1 at the mouth, what colour far from it costs: it pleased the teacher with patches on cheeks
KEPT_TEETH_WEIGHT = 0.3  # of the edge of visible teeth, beside landmarks
MASKED = 0.9  # of the mask, above which landmarks count
RELIT = 0.3  # of a batch is in other light
MISALIGNED = 0.03, 0.03, 0.012, 0.03  # radians, natural logarithm, of the side, natural logarithm: each at most
SHEET_FACES = 6
VALIDATION_FACES = 64
SLOPE, MAX_GAIN = 0.85, 1.3  # photos of other people with the asked affect reach 0.84 and 0.87 in the judge's eyes


class WarpTrainer(Trainer[WarpTraining, WarpConfig, WarpEditor]):
    """Trains the editor: affect by the teacher, geometry by landmarks, realism by a conditional discriminator and a
    cycle back to the photo, smoothness by the bending energy, and the latent's prior by its discriminator."""

    def __init__(self, training: WarpTraining, network: WarpConfig, crops: Crops, device: str):
        if training.teacher is None:
            raise UsageError("an editor needs a teacher, the weights of an estimator that will not judge it")
        self.teacher = teacher = load_model(training.teacher, Estimator, device)
        landmarker = load_model(training.landmarks, Landmarker, device)
        network = replace(network, discriminator_channels=teacher.config.channels[-STAGES:])
        torch.manual_seed(training.seed)
        editor, nets = self.networks_for(network)
        landmarks, shown = mouths(landmarker, crops, device)
        fit(editor.decoder.motion, landmarks, shown, crops.affect.cpu(), crops.probabilities.cpu())
        for net in nets.values():
            net.to(device).to(memory_format=torch.channels_last)
        adam = partial(torch.optim.Adam, betas=(0.5, 0.99), fused=device != "mps")
        optimizers: dict[str, torch.optim.Optimizer] = {name: adam(net.parameters()) for name, net in nets.items()}
        sampler = BalancedSampler(
            plane_bins(crops.affect), training.batch, training.seed, power=training.balance, max_repeats=8
        )
        super().__init__(training, network, editor, nets, optimizers, crops, sampler, device)
        self.image_discriminator, self.latent_discriminator = nets["image_discriminator"], nets["latent_discriminator"]
        self.targets = Targets(crops, self.support, sampler.batch, training.seed + 1, training.balance)
        self.landmarker = landmarker
        self.landmarks = landmarks.to(device)
        self.masks = torch.from_numpy(edit_masks(network.image_size)).to(device)
        self.moves, residual_mask = self.masks
        away = _away_from_mouth(network.image_size).to(device)
        self.colour_weight = functional.avg_pool2d(((1 + AWAY * away) * residual_mask)[None, None], 4)
        self.landmark_weight, self.outside = landmark_weights().to(device), outside().to(device) / network.image_size
        self.pixel_weight = 1 + MOUTH_WEIGHT * (1 - away)  # of a pixel in the cycle

    @staticmethod
    def networks_for(network: WarpConfig) -> tuple[WarpEditor, dict[str, nn.Module]]:
        editor = WarpEditor(network)
        return editor, {
            "editor": editor,
            "image_discriminator": ImageDiscriminator(network),
            "latent_discriminator": LatentDiscriminator(network),
        }

    def train_step(self, progress: float) -> dict[str, torch.Tensor]:
        config, editor = self.training, self.published
        for name, optimizer in self.optimizers.items():
            rate = config.learning_rate * min(progress / WARM_UP, 1) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6
            for group in optimizer.param_groups:
                group["lr"] = rate * (DISCRIMINATOR_RATE if name == "image_discriminator" else 1.0)
        here = self.shard.here
        chosen = self.sampler.indices(self.step)[here]
        images, source = self.crops.batch(chosen, self.device)
        drawn = self.targets.drawn(self.step, here, chosen, self.network.target_dim, self.generator(4))
        target, own = (x.to(self.device) for x in drawn)
        images, before = self._seen(images, self.landmarks[chosen.to(self.device)])
        prior = (self.generator(0).rand(self.network.z_dim) * 2 - 1).to(self.device)

        losses = {}
        with self.autocast():
            features = editor.encoder(images, before)
            edit = editor.decoder(features, source, target, finished=False)
            after = edit.landmarks
            edited = rendered(images, edit, self.masks)
            drawn_maps = self.teacher.maps(augment(edited, self.teacher.config.image_size, self.generator(1)))
            shown, logits = (x.float() for x in self.teacher.read(drawn_maps[-1]))
            losses["affect"] = functional.smooth_l1_loss(shown, target[:, :2], beta=0.1)
            losses["expression"] = -(logits.log_softmax(1)[:, : target.shape[1] - 2] * target[:, 2:]).sum(1).mean()
            teeth_edge, counts = kept_teeth_edge(before, after, features.teeth_visibility)
            teeth_weight = KEPT_TEETH_WEIGHT * counts[:, None]
            losses["geometry"] = self._misplaced(edit.flow, before, after, self.landmark_weight, self.outside)
            losses["geometry"] += self._misplaced(edit.flow, before[:, LOWER], teeth_edge, teeth_weight)
            losses["adversarial"] = -self.image_discriminator(drawn_maps, target).float().mean()
            # Side by side with the prior's: alone, a batch norm would bring any latent to the prior's scale.
            losses["latent"] = bce(self.latent_discriminator(torch.cat([prior, features.z]))[len(prior) :], 1)
            losses["bending"] = bending_energy(edit.flow, self.moves, 1 - parting(before, after, images.shape[-1]))
            losses["change"] = (self.colour_weight * edit.colour).abs().mean()
            # An edit and its photo are a pair: the way back from one ends at the other. No gradient flows to the edit,
            # or it would learn to hide there what the way back needs (Chu et al. 2017).
            start, shown = edited.detach(), shown.detach().clamp(-1, 1)
            any_ = functional.pad(source, (0, target.shape[1] - 2))
            back = rendered(start, editor(start, after.detach(), shown, any_, finished=False), self.masks)
            losses["cycle"] = (self.pixel_weight * (back - images)).abs().mean()
        weights = {
            "affect": config.affect_weight,
            "expression": config.expression_weight,
            "geometry": config.geometry_weight,
            "adversarial": config.adversarial_weight * min(progress / RAMP, 1),
            "latent": config.latent_weight,
            "bending": config.bending_weight,
            "change": config.change_weight * min(progress / RAMP, 1),
            "cycle": config.cycle_weight * min(progress / RAMP, 1),
        }
        self.update("editor", total(weight * losses[name] for name, weight in weights.items()))

        losses |= self._discriminator_losses(images, own, target, drawn_maps, prior, features.z)
        self.update("image_discriminator", losses["image_discriminator"].float())
        self.update("latent_discriminator", losses["latent_discriminator"])
        self.update_ema()
        self.step += 1
        return {name: loss.detach().float() for name, loss in losses.items()}

    def _discriminator_losses(
        self,
        images: torch.Tensor,
        own: torch.Tensor,
        target: torch.Tensor,
        drawn_maps: list[torch.Tensor],
        prior: torch.Tensor,
        z: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """What both discriminators learn from: photos and what they show, the teacher's maps of edits, and latents."""
        with self.autocast():
            # A real face with another's affect is wrong too: this is what ties realism to the label.
            with torch.no_grad():
                real_maps = self.teacher.maps(augment(images, self.teacher.config.image_size, self.generator(3)))
            real, mismatch = self.image_discriminator(real_maps, own, target)
            drawn = self.image_discriminator([x.detach() for x in drawn_maps], target)
            far = ((target - own)[:, :2].norm(dim=1, keepdim=True) / 0.5).clamp(max=1)
            wrong = 0.5 * functional.relu(1 + drawn).mean() + 0.5 * (far * functional.relu(1 + mismatch)).mean()
            image_loss = functional.relu(1 - real).mean() + wrong
            of_prior, of_faces = self.latent_discriminator(torch.cat([prior, z.detach()])).chunk(2)
            latent_loss = bce(of_prior, 1) + bce(of_faces, 0)
        return {"image_discriminator": image_loss, "latent_discriminator": latent_loss}

    @torch.no_grad()
    def finish(self) -> None:
        """Let edits go as much further as they stop short, as the teacher sees those of some training crops."""
        gain = self.ema.decoder.gain
        if gain is not None:
            gain.fill_(1)
            wanted, shown = self._arrivals(self.crops)
            slopes = [agreement(wanted[..., i].ravel(), shown[..., i].ravel())["slope"] for i in (0, 1)]
            gain.copy_(torch.tensor([min(max(SLOPE / max(slope, 0.1), 1.0), MAX_GAIN) for slope in slopes]))

    def _arrivals(self, crops: Crops) -> tuple[np.ndarray, np.ndarray]:
        """Where some crops are asked to go, the supported cells of the plane, and where the teacher sees them then,
        (targets, faces, 2) each."""
        order = torch.linspace(0, len(crops) - 1, min(VALIDATION_FACES, len(crops))).long()
        images, source = crops.batch(order, self.device)
        targets = [point for point in affect_grid(grid_axis()).tolist() if self.support.covers(*point)] or [[0.0, 0.0]]
        features, estimates = self.ema.encoder(images, self.landmarker(images)), []
        for point in targets:
            edit = self.ema.decoder(features, source, self._everyone(point, len(images)), finished=True)
            estimates.append(self.teacher(rendered(images, edit, self.masks))[0].float().cpu())
        shown = torch.stack(estimates).numpy()
        return np.broadcast_to(np.array(targets)[:, None], shown.shape), shown

    @torch.no_grad()
    def validate(self, validation: Crops) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """How far the edits reach their targets, as the teacher estimates, who is no judge; and sheets of them."""
        order = torch.linspace(0, len(validation) - 1, min(VALIDATION_FACES, len(validation))).long()
        images, source = validation.batch(order, self.device)
        features = self.ema.encoder(images, self.landmarker(images))
        names = []
        for i, point in enumerate(self.targets.places.tolist() if self.network.target_dim > 2 else ()):
            target = self._everyone(point, len(images), i)
            edit = self.ema.decoder(features, source, target, finished=True)
            names.append((self.teacher(rendered(images, edit, self.masks))[1].argmax(1) == i).float().mean().item())
        wanted, shown = self._arrivals(validation)
        figures: dict[str, float] = {}
        for i, name in enumerate(("valence", "arousal")):
            measured = agreement(wanted[..., i].ravel(), shown[..., i].ravel())
            figures |= {f"{name} {key}": measured[key] for key in ("ccc", "slope")}
        figures |= {f"called {name}": share for name, share in zip(EXPRESSIONS, names, strict=False)}
        return figures, {"edits": self._sheet(images[:SHEET_FACES], source[:SHEET_FACES])}

    def _everyone(self, point: Sequence[float], count: int, expression: int | None = None) -> torch.Tensor:
        """The same target (count, T) for all: an affect, called by the number of an expression."""
        target = torch.zeros(count, self.network.target_dim, device=self.device)
        target[:, :2] = torch.tensor(point, device=self.device)
        if expression is not None:
            target[:, 2 + expression] = 1
        return target

    def _misplaced(
        self,
        flow: torch.Tensor,
        before: torch.Tensor,
        after: torch.Tensor,
        weight: torch.Tensor,
        outside: torch.Tensor | float = 0.0,
    ) -> torch.Tensor:
        """How far a flow moves points (N, K, 2) beside where they should go: smooth L1 in pixels, the mean over points;
        those outside of the mask count for nothing.

        weight: of each point, (N, K) or (K,). outside: (K, 2), the offset from each point to where its flow is read.
        """
        grid = (after + outside)[:, None] * 2 - 1
        moved = functional.grid_sample((flow * self.moves).float(), grid, align_corners=False)[:, :, 0]
        mask = functional.grid_sample(self.moves.expand(len(after), 1, -1, -1), grid, align_corners=False)[:, 0, 0]
        miss = (moved.transpose(1, 2) - 2 * (before - after)) * (flow.shape[-1] / 2)
        cost = functional.smooth_l1_loss(miss, torch.zeros_like(miss), beta=0.5, reduction="none")
        return (cost * (weight * (mask > MASKED))[..., None]).mean()

    def _seen(self, images: torch.Tensor, landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the editor meets: crops mirrored at random, of other shape and alignment, some in other light, and
        their landmarks (N, K, 2)."""
        generator = self.generator(2)
        mirror, theta = generator.rand() < 0.5, affinities(generator, *MISALIGNED)
        images, landmarks = moved(images, landmarks, mirror, theta)
        images = relit(images, RELIT, generator)
        return images.contiguous(memory_format=torch.channels_last), landmarks

    def _sheet(self, images: torch.Tensor, source: torch.Tensor) -> np.ndarray:
        """Each face, and its edits around the plane."""
        targets = [(0.75, 0.1), (0.5, 0.5), (0, 0.75), (-0.5, 0.5), (-0.5, 0), (-0.25, -0.25), (0.25, 0)]
        columns = [to_pixels(images)]
        features = self.ema.encoder(images, self.landmarker(images))
        for point in targets:
            target = self._everyone(point, len(images))
            edit = self.ema.decoder(features, source, target, finished=True)
            columns.append(to_pixels(rendered(images, edit, self.masks)))
        return tile(np.stack(columns, axis=1))


def _away_from_mouth(size: int) -> torch.Tensor:
    """(S, S) from 0 at the mouth of an aligned crop to 1 away from it."""
    y, x = torch.meshgrid(*[pixel_centres(size, torch.device("cpu"))] * 2, indexing="ij")
    far = ((x - 0.5) / 0.2) ** 2 + ((y - 0.69) / 0.14) ** 2
    return 1 - torch.exp(-(far**2))
