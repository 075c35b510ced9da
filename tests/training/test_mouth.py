from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.config import MouthConfig, MouthTraining
from faceedit.data.crops import load_crops
from faceedit.models.mouth.inpainter import region
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


def test_the_rate_falls_at_the_end():
    assert [_fallen(progress) for progress in (0, 0.6, 0.8, 1)] == pytest.approx([1, 1, 0.5, 0])
    assert torch.isfinite(torch.tensor(_fallen(1.2)))


def test_kept_teeth_are_whole(trainer, monkeypatch):
    monkeypatch.setattr(learning, "PARTLY", 1.0)
    wide, (rows, columns) = mouth(0.2).expand(64, -1, -1), region(TINY.image_size)
    for end, hidden in ((0.2, 1), (0.8, 0)):  # of the opening, whose middle is hidden where teeth end above it
        mask = trainer._mask(wide, torch.full((64,), end), BatchGenerator(torch.Generator().manual_seed(0), 64))
        assert mask[:, 0, 96 - rows.start, 64 - columns.start].round().tolist() == [hidden] * 64


def test_any_number_of_crops_is_a_batch(prepared):
    trainer = MouthTrainer(replace(CONFIG, batch=5), TINY, load_crops(prepared / "train", TINY.image_size), "cpu")
    assert all(loss.isfinite() for loss in trainer.train_step(0).values())


def test_a_run_has_latents_from_its_first_step_on_and_new_ones_at_its_end(trainer):
    rows = round(0.675 * 128), round(0.75 * 128), round(0.825 * 128)  # lips, and where teeth end between them
    trainer.landmarks = mouth(0.15).expand(len(trainer.crops), -1, -1)
    trainer.crops.images[:, :, rows[0] : rows[1]], trainer.crops.images[:, :, rows[1] : rows[2]] = 230, 10
    trainer.train_step(0)
    first = trainer.ema.latents.clone()
    assert first.any(2).all()
    trainer.train_step(0)
    assert torch.equal(trainer.ema.latents, first)
    trainer.finish()
    assert not torch.equal(trainer.ema.latents, first)


def test_teeth_are_kept_in_a_mouth_and_in_the_one_that_lends_its_latent(trainer, monkeypatch):
    monkeypatch.setattr(learning, "PARTLY", 0.5)
    mask = trainer._mask(
        mouth(0.2).expand(64, -1, -1), torch.full((64,), 0.4), BatchGenerator(torch.Generator().manual_seed(0), 64)
    )
    rows, columns = region(TINY.image_size)
    kept = mask[:, 0, round(0.67 * 128) - rows.start, 64 - columns.start] < 0.5  # a little below the upper lip
    assert 10 < kept[:32].sum() < 22
    assert torch.equal(kept[:32], kept[32:])
