"""Training the paper's CAAE: one visible loop."""

import contextlib
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from faceedit.circumplex import Support, affect_grid, grid_axis
from faceedit.config import CaaeConfig, TrainConfig
from faceedit.errors import FaceEditError, UsageError
from faceedit.files import write_atomically
from faceedit.image import Photo, encode_photo
from faceedit.model.caae import Caae, ImageDiscriminator, LatentDiscriminator, he_init
from faceedit.sheet import circumplex_grid, tile
from faceedit.train.checkpoint import STATE_FILE, configs_from_json, configs_to_json, load_state, save_state
from faceedit.train.data import BalancedSampler, Crops, load_crops
from faceedit.train.labels import TRAIN, VALIDATION
from faceedit.train.losses import bce, perceptual_loss

REPORT_EVERY = 10  # steps; reading a loss makes the processor wait for the device
SHEET_FACES = 8
VALIDATION_BATCH = 64


@dataclass(frozen=True)
class Report:
    """Where a run stands. losses: means since the last report. seconds: trained so far, resumed runs included."""

    step: int
    steps: int | None
    epoch: int
    seconds: float
    seconds_left: float
    images_per_second: float
    losses: dict[str, float]


def train(
    data: str | Path,
    run: str | Path,
    training: TrainConfig | None = None,
    network: CaaeConfig | None = None,
    device: str = "cpu",
    resume: bool = False,
    report: Callable[[Report], None] = lambda report: None,
) -> None:
    """Train a CAAE on a prepared folder until its epochs or minutes are over, keeping all state in the folder `run`.

    data: a folder with `train` and, for the sheets and the validation loss, `validation`. resume: go on with the state
    in `run`, whose settings hold except for the epochs and minutes; on the CPU the end is bitwise that of a run that
    was not interrupted. Interrupting (KeyboardInterrupt) saves first. Raises FaceEditError kinds; after a loss that is
    not a number the last good state is in `run`.
    """
    run = Path(run)
    training, network = training or TrainConfig(), network or CaaeConfig()
    state = None
    if resume:
        state = load_state(run)
        network, kept = configs_from_json(state["configs"])
        training = replace(kept, epochs=training.epochs, minutes=training.minutes, save_minutes=training.save_minutes)
    elif (run / STATE_FILE).exists():
        raise UsageError(f"{run} already holds a run: go on with --resume, or choose another folder")
    run.mkdir(parents=True, exist_ok=True)
    train_crops = load_crops(Path(data) / TRAIN, network.image_size)
    validation = load_crops(Path(data) / VALIDATION, network.image_size) if (Path(data) / VALIDATION).is_dir() else None
    trainer = Trainer(training, network, train_crops, device)
    if state is not None:
        trainer.load_state(state)
    with _tensorboard(run) as writer:
        _run(trainer, run, validation, writer, report)


class Trainer:
    """The networks, their optimisers and one step of training."""

    def __init__(self, training: TrainConfig, network: CaaeConfig, crops: Crops, device: str):
        torch.manual_seed(training.seed)
        self.training, self.network, self.device = training, network, device
        layout = {"device": device, "memory_format": torch.channels_last}
        self.caae = Caae(network).to(**layout)
        self.image_critic = ImageDiscriminator(network).to(**layout)
        self.latent_critic = LatentDiscriminator(network).to(device)
        for net in (self.caae, self.image_critic, self.latent_critic):
            he_init(net)
        self.ema = deepcopy(self.caae).requires_grad_(False)
        perceptual = perceptual_loss(training.perceptual)
        self.perceptual = None if perceptual is None else perceptual.to(**layout)
        self.networks = {
            "caae": self.caae,
            "image_critic": self.image_critic,
            "latent_critic": self.latent_critic,
        }
        adam = {"lr": training.learning_rate, "betas": (training.beta1, 0.999), "fused": device != "mps"}
        self.optimizers = {name: torch.optim.Adam(net.parameters(), **adam) for name, net in self.networks.items()}
        self.support = Support.from_affect(crops.affect.numpy())
        # On a GPU the crops are small beside its memory, and copying batches would be what it waits for.
        self.crops = crops.to(device) if device == "cuda" else crops
        self.sampler = BalancedSampler(crops.expression, training.batch, training.seed)
        self.step = 0
        self.seconds = 0.0

    def train_step(self) -> dict[str, torch.Tensor]:
        """One update of all four networks; the losses, each a scalar on the device."""
        config, caae = self.training, self.caae
        images, affect = self.crops.batch(self.sampler.indices(self.step), self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        # The prior's draw depends on the seed and the step only, so a resumed run draws the same.
        generator = torch.Generator().manual_seed((config.seed + 1) * 2_000_003 + self.step)
        prior = (torch.rand(len(images), self.network.z_dim, generator=generator) * 2 - 1).to(self.device)

        losses = {}
        with self.autocast():
            z = caae.encoder(images)
            decoded = caae.generator(z, affect)
            losses["reconstruction"] = functional.l1_loss(decoded.float(), images)
            total = losses["reconstruction"]
            if self.perceptual is not None:
                first = slice(config.perceptual_images)
                losses["perceptual"] = self.perceptual(images[first], decoded[first]).float()
                total = total + config.perceptual_weight * losses["perceptual"]
            losses["adversarial"] = bce(self.image_critic(decoded, affect), 1)
            losses["latent"] = bce(self.latent_critic(z), 1)
            total = total + config.adversarial_weight * (losses["adversarial"] + losses["latent"])
        self._update("caae", total)

        with self.autocast():
            real = bce(self.image_critic(images, affect), 1)
            losses["image_critic"] = real + bce(self.image_critic(decoded.detach(), affect), 0)
            losses["latent_critic"] = bce(self.latent_critic(prior), 1) + bce(self.latent_critic(z.detach()), 0)
        self._update("image_critic", losses["image_critic"])
        self._update("latent_critic", losses["latent_critic"])
        self._update_ema()
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def autocast(self):
        """bfloat16 where the device computes with it."""
        if self.device == "cuda":
            return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
        native = self.device == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return torch.autocast("cpu", torch.bfloat16, enabled=native)

    def state(self) -> dict:
        """All that `load_state` needs to go on exactly."""
        return {
            "configs": configs_to_json(self.network, self.training),
            "step": self.step,
            "seconds": self.seconds,
            "support": torch.from_numpy(self.support.counts),
            "ema": self.ema.state_dict(),
            "networks": {name: net.state_dict() for name, net in self.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load_state(self, state: dict) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.ema.load_state_dict(state["ema"])
        for name, net in self.networks.items():
            net.load_state_dict(state["networks"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])

    def is_finite(self) -> bool:
        return all(parameter.isfinite().all() for net in self.networks.values() for parameter in net.parameters())

    def _update(self, name: str, loss: torch.Tensor) -> None:
        parameters = list(self.networks[name].parameters())
        self.optimizers[name].zero_grad()
        loss.backward(inputs=parameters)  # the critics are judges here, not pupils, when the CAAE learns
        self.optimizers[name].step()

    def _update_ema(self) -> None:
        decay = min(self.training.ema_decay, (1 + self.step) / (10 + self.step))  # short runs want a short memory
        for average, parameter in zip(self.ema.parameters(), self.caae.parameters(), strict=True):
            average.lerp_(parameter.detach(), 1 - decay)


def _run(trainer: Trainer, run: Path, validation: Crops | None, writer, report) -> None:
    config, steps_per_epoch = trainer.training, trainer.sampler.steps_per_epoch
    steps = None if config.minutes is not None else config.epochs * steps_per_epoch
    limit = float("inf") if config.minutes is None else config.minutes * 60
    recent: list[dict[str, torch.Tensor]] = []
    clock = last_save = last_report = time.monotonic()
    try:
        while trainer.seconds < limit and (steps is None or trainer.step < steps):
            recent.append(trainer.train_step())
            now = time.monotonic()
            trainer.seconds += now - clock
            clock = now
            epoch, place = divmod(trainer.step, steps_per_epoch)
            if len(recent) == REPORT_EVERY or place == 0:
                losses = _means(recent, trainer.step)
                rate = len(recent) * config.batch / max(now - last_report, 1e-9)
                left = limit - trainer.seconds if steps is None else (steps - trainer.step) * config.batch / rate
                report(Report(trainer.step, steps, epoch, trainer.seconds, left, rate, losses))
                _add_scalars(writer, "train", losses, trainer.step)
                recent, last_report = [], now
            if place == 0 or now - last_save > config.save_minutes * 60:
                _save(trainer, run)
                _validate(trainer, run, validation, writer)
                last_save = last_report = time.monotonic()
    except KeyboardInterrupt:
        _save(trainer, run)
        raise
    _save(trainer, run)
    _validate(trainer, run, validation, writer)


def _means(recent: list[dict[str, torch.Tensor]], step: int) -> dict[str, float]:
    losses = {name: torch.stack([losses[name] for losses in recent]).mean().item() for name in recent[0]}
    broken = [name for name, value in losses.items() if not np.isfinite(value)]
    if broken:
        raise FaceEditError(
            f"training stopped at step {step}: the {broken[0]} loss is not a number; the last good state is kept"
        )
    return losses


def _save(trainer: Trainer, run: Path) -> None:
    if not trainer.is_finite():
        raise FaceEditError(
            f"training stopped at step {trainer.step}: a weight is not a number; the last good state is kept"
        )
    save_state(run, trainer.state())


@torch.no_grad()
def _validate(trainer: Trainer, run: Path, validation: Crops | None, writer) -> None:
    """The reconstruction loss on the validation crops, and what they look like, to `run` and TensorBoard."""
    if validation is None:
        return
    total = 0.0
    for indices in torch.arange(len(validation)).split(VALIDATION_BATCH):
        images, affect = validation.batch(indices, trainer.device)
        total += (trainer.ema(images, affect) - images).abs().mean(dim=(1, 2, 3)).sum().item()
    _add_scalars(writer, "validation", {"reconstruction": total / len(validation)}, trainer.step)
    faces = torch.linspace(0, len(validation) - 1, min(SHEET_FACES, len(validation))).long()
    images, affect = validation.batch(faces, trainer.device)
    samples = tile(np.stack([_pixels(images), _pixels(trainer.ema(images, affect))]))
    axis = grid_axis()
    targets = torch.from_numpy(affect_grid(axis)).to(trainer.device)
    z = trainer.ema.encoder(images[:1])
    cells = _pixels(trainer.ema.generator(z.expand(len(targets), -1), targets))
    grid = circumplex_grid(cells.reshape(len(axis), len(axis), *cells.shape[1:]), axis, tuple(affect[0].tolist()))
    for name, sheet in (("samples", samples), ("grid", grid)):
        folder = run / "sheets"
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{name}-{trainer.step:07d}.png", encode_photo(Photo(sheet), "PNG"))
        if writer is not None:
            writer.add_image(f"validation/{name}", sheet, trainer.step, dataformats="HWC")


def _pixels(images: torch.Tensor) -> np.ndarray:
    """images (N, 3, S, S) in [-1, 1] → (N, S, S, 3) uint8."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def _add_scalars(writer, group: str, values: dict[str, float], step: int) -> None:
    if writer is not None:
        for name, value in values.items():
            writer.add_scalar(f"{group}/{name}", value, step)


def _tensorboard(run: Path):
    """A writer of TensorBoard files, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return contextlib.nullcontext()
    return SummaryWriter(run)
