from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.config import FoldConfig, FoldTraining
from faceedit.data.crops import load_crops
from faceedit.errors import UsageError
from faceedit.models.face_mesh import POINTS
from faceedit.models.folds import coarse, detail, skin
from faceedit.training.checkpoint import export_weights
from faceedit.training.folds import FoldTrainer
from faceedit.training.loop import train
from faceedit.weights import load_weights
from tests.training.test_loop import check_gradients, goes_on_alike

TINY = FoldConfig(32, (8, 8, 8), 8)
CONFIG = FoldTraining(epochs=2, batch=4, save_minutes=60)


@pytest.fixture
def trainer(prepared):
    return FoldTrainer(CONFIG, TINY, load_crops(prepared / "train", TINY.image_size), "cpu")


def test_it_learns_the_detail_that_it_is_not_shown(prepared):
    config = replace(CONFIG, learning_rate=5e-3)
    trainer = FoldTrainer(config, TINY, load_crops(prepared / "train", TINY.image_size), "cpu")
    losses = [trainer.train_step(0) for _ in range(150)]
    share = [(x["detail"] / x["of none"]).item() for x in losses]
    assert np.mean(share[:5]) > 0.9
    assert np.mean(share[-10:]) < 0.6


def test_every_part_that_learns_gets_a_gradient(trainer):
    check_gradients(trainer)


def test_a_run_goes_on_to_the_same_end_and_becomes_weights(prepared, tmp_path):
    train(prepared, tmp_path / "run", CONFIG, TINY)
    crops = load_crops(prepared / "train", TINY.image_size)
    assert goes_on_alike(*(FoldTrainer(CONFIG, TINY, crops, "cpu") for _ in range(2)))
    export_weights(tmp_path / "run", tmp_path / "folds.safetensors")
    assert load_weights(str(tmp_path / "folds.safetensors"), kinds=("folds",)).training["balance"] == CONFIG.balance


def test_a_size_that_cannot_be_halved_is_refused(prepared):
    with pytest.raises(UsageError, match="multiple of 8"):
        FoldTrainer(CONFIG, replace(TINY, image_size=36), load_crops(prepared / "train", 36), "cpu")


def test_detail_is_the_same_share_of_dark_and_light_skin():
    stripes = torch.ones(1, 3, 64, 64)
    stripes[..., ::4] = 0.9
    dark, light = (detail((share * stripes) * 2 - 1) for share in (0.4, 0.9))
    assert light.abs().max() > 0.05
    torch.testing.assert_close(dark, light, atol=0.02, rtol=0)
    assert detail(coarse(stripes * 2 - 1)).abs().max() < 0.3 * light.abs().max()


def test_eyes_and_mouths_are_no_skin_nor_is_what_lies_beside_a_face():
    landmarks = load_weights("warp-96").model.decoder.motion.mean[None]
    worth = skin(landmarks, 64)[0, 0]
    for number in (13, 159, 386, 105, 334):  # of lips, lids and brows
        x, y = (64 * landmarks[0, POINTS.index(number)]).int().tolist()
        assert worth[y, x] < 0.05
    assert worth[-1].max() == worth[40:, 0].max() == worth[40:, -1].max() == 0
    assert worth[36, 16] > 0.95
    assert worth[36, 47] > 0.95
