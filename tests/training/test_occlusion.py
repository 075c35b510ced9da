from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.config import OcclusionConfig, OcclusionTraining
from faceedit.data.crops import load_crops
from faceedit.errors import UsageError
from faceedit.training import occlusion
from faceedit.training.checkpoint import export_weights
from faceedit.training.loop import train
from faceedit.training.occlusion import OcclusionTrainer
from faceedit.weights import load_weights
from tests.training.test_loop import check_gradients, goes_on_alike

TINY = OcclusionConfig(32, (8, 16))
CONFIG = OcclusionTraining(epochs=2, batch=4, save_minutes=60)


@pytest.fixture
def trainer(prepared):
    return OcclusionTrainer(CONFIG, TINY, load_crops(prepared / "train", TINY.image_size), "cpu")


def test_it_learns_what_was_drawn(prepared):
    crops = load_crops(prepared / "train", TINY.image_size)
    trainer = OcclusionTrainer(replace(CONFIG, batch=8, learning_rate=5e-3, ema_decay=0.9), TINY, crops, "cpu")
    losses = [trainer.train_step(0)["occlusion"].item() for _ in range(240)]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    figures, sheets = trainer.validate(crops)
    assert figures["iou"] > 0.2
    assert sheets["occlusion"].ndim == 3


def test_every_part_that_learns_gets_a_gradient(trainer):
    check_gradients(trainer)


def test_what_it_finds_in_photos_is_not_held_against_it_later(trainer, monkeypatch):
    monkeypatch.setattr(occlusion, "occlude", lambda image, *_: (image, np.zeros(image.shape[:2], np.float32)))
    torch.nn.init.constant_(trainer.published.to_logits.bias, 5)  # of everything, it is sure
    assert trainer.train_step(0.1)["occlusion"] > 1
    assert trainer.train_step(0.9)["occlusion"] == 0


def test_a_run_goes_on_to_the_same_end_and_becomes_weights(prepared, tmp_path):
    train(prepared, tmp_path / "run", CONFIG, TINY)
    crops = load_crops(prepared / "train", TINY.image_size)
    assert goes_on_alike(*(OcclusionTrainer(CONFIG, TINY, crops, "cpu") for _ in range(2)))
    export_weights(tmp_path / "run", tmp_path / "occlusion.safetensors")
    assert load_weights(str(tmp_path / "occlusion.safetensors"), kinds=("occlusion",)).training["batch"] == CONFIG.batch


def test_a_size_that_cannot_be_halved_is_refused(prepared):
    with pytest.raises(UsageError, match="multiple of 4"):
        OcclusionTrainer(CONFIG, replace(TINY, image_size=34), load_crops(prepared / "train", 34), "cpu")
