from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.config import MouthConfig, MouthTraining
from faceedit.data.crops import load_crops
from faceedit.models.mouth.inpainter import describe, mouth_mask, region
from faceedit.training import latents
from faceedit.training import mouth as learning
from faceedit.training.checkpoint import export_weights, load_state
from faceedit.training.distributed import BatchGenerator
from faceedit.training.loop import train
from faceedit.training.mouth import MouthTrainer, _fallen
from faceedit.weights import load_weights
from tests.models.test_inpainter import mouth
from tests.training.test_loop import check_gradients, goes_on_alike

TINY = MouthConfig(128, 4, (8, 8, 8), 8, 8, (8, 8, 8, 8))
CONFIG = MouthTraining(epochs=2, batch=4, save_minutes=60)


@pytest.fixture
def trainer(prepared):
    return MouthTrainer(CONFIG, TINY, load_crops(prepared / "train", TINY.image_size), "cpu")


def test_it_learns_to_paint_what_was_hidden(prepared):
    others = dict.fromkeys(("adversarial_weight", "feature_weight", "recovery_weight", "tint_weight"), 0.0)
    config = replace(CONFIG, learning_rate=3e-3, **others)
    trainer = MouthTrainer(config, TINY, load_crops(prepared / "train", TINY.image_size), "cpu")
    pixels = [trainer.train_step(0)["pixels"].item() for _ in range(60)]
    assert np.mean(pixels[-10:]) < 0.7 * np.mean(pixels[:10])


def test_the_discriminator_learns_to_tell_photos_from_paintings(prepared):
    config = replace(CONFIG, learning_rate=2e-3)
    trainer = MouthTrainer(config, TINY, load_crops(prepared / "train", TINY.image_size), "cpu")
    trainer.networks["autoencoder"].requires_grad_(False)
    trainer.update = lambda name, loss: type(trainer).update(trainer, name, loss) if name == "discriminator" else None
    verdicts = [trainer.train_step(0)["discriminator"].item() for _ in range(40)]
    assert np.mean(verdicts[-10:]) < 0.9 * np.mean(verdicts[:5])


def test_every_part_that_learns_gets_a_gradient(trainer):
    check_gradients(trainer)


def test_a_run_goes_on_to_the_same_end_and_becomes_weights(prepared, tmp_path):
    train(prepared, tmp_path / "whole", CONFIG, TINY)
    crops = load_crops(prepared / "train", TINY.image_size)
    assert goes_on_alike(*(MouthTrainer(CONFIG, TINY, crops, "cpu") for _ in range(2)))
    state = load_state(tmp_path / "whole")
    assert state["step"] > 2
    assert state["networks"].keys() == {"autoencoder", "discriminator"}
    export_weights(tmp_path / "whole", tmp_path / "mouth.safetensors")
    assert load_weights(str(tmp_path / "mouth.safetensors"), kinds=("mouth",)).training["balance"] == CONFIG.balance


def test_at_the_end_latents_are_as_the_encoder_finds_them_in_photos(trainer, monkeypatch):
    monkeypatch.setattr(latents, "AWAY", 0.0)
    monkeypatch.setattr(latents, "FULL", 1.0)
    trainer.landmarks = mouth(0.15).expand(len(trainer.crops), -1, -1)
    torch.nn.init.normal_(trainer.encoder.to_z.bias)
    trainer.finish()
    condition = describe(trainer.crops.affect, trainer.softness, trainer.landmarks)
    drawn = trainer.ema.latent(condition, torch.zeros(len(condition), TINY.z_dim))
    rows, columns = region(TINY.image_size)
    images = trainer.crops.batch(torch.arange(len(condition)), "cpu")[0][..., rows, columns]
    found = trainer.encoder(images, mouth_mask(trainer.landmarks, TINY.image_size, 1.0))[0]
    assert (drawn - found).square().mean() < 0.1 * found.square().mean()
    assert trainer.ema.latent_scale.diagonal().max() < 0.5  # photos fill a part of the standard normal distribution


def test_the_rate_falls_at_the_end():
    assert [_fallen(progress) for progress in (0, 0.6, 0.8, 1)] == pytest.approx([1, 1, 0.5, 0])
    assert torch.isfinite(torch.tensor(_fallen(1.2)))


def test_kept_teeth_are_whole(trainer, monkeypatch):
    monkeypatch.setattr(learning, "PARTLY", 1.0)
    wide, (rows, columns) = mouth(0.2).expand(64, -1, -1), region(TINY.image_size)
    for end, hidden in ((0.2, 1), (0.8, 0)):  # of the opening, whose middle is hidden where teeth end above it
        mask = trainer._mask(wide, torch.full((64,), end), BatchGenerator(torch.Generator().manual_seed(0), 64))
        assert mask[:, 0, 96 - rows.start, 64 - columns.start].round().tolist() == [hidden] * 64


def test_of_faces_that_do_not_smile_edits_draw_mouths_that_gape(trainer, monkeypatch):
    """Two kinds of mouths at one affect: the fitted mean is the one that gapes, not what lies between them."""
    trainer.landmarks = mouth(0.15).expand(len(trainer.crops), -1, -1)
    trainer.crops.affect[:] = torch.tensor([0.1, 0.6])
    chosen = torch.arange(len(trainer.crops)) % 2 == 0
    monkeypatch.setattr(latents, "AWAY", 0.0)
    monkeypatch.setattr(latents, "_gapes", lambda images, landmarks: chosen[: len(images)])
    monkeypatch.setattr(latents, "SOME", len(chosen))
    kinds = torch.where(chosen, 1.0, -1.0)[:, None].expand(-1, TINY.z_dim)
    monkeypatch.setattr(trainer.encoder, "forward", lambda images, mask: (kinds, kinds))
    trainer.finish()
    condition = describe(trainer.crops.affect, trainer.softness, trainer.landmarks)
    assert trainer.ema.latent(condition, torch.zeros(len(condition), TINY.z_dim)).mean() > 0.8
    monkeypatch.setattr(latents, "FULL", 1.0)
    trainer.finish()
    assert abs(trainer.ema.latent(condition, torch.zeros(len(condition), TINY.z_dim)).mean()) < 0.2
