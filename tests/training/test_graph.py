import pytest
import torch

from faceedit.config import CaaeConfig, CaaeTraining
from faceedit.data.crops import load_crops
from faceedit.training.caae import CaaeTrainer

TINY = CaaeConfig(32, 4, (4, 8, 8, 8), (8, 8, 8, 8, 8, 8), (4, 4, 4, 4), 8)
CONFIG = CaaeTraining(batch=4, perceptual="off")


def test_a_state_of_a_gpu_goes_on_elsewhere(prepared):
    crops = load_crops(prepared / "train", TINY.image_size)
    trainer, other = (CaaeTrainer(CONFIG, TINY, crops, "cpu") for _ in range(2))
    trainer.train_step(0)
    state = trainer.state()
    for optimizer in state["optimizers"].values():
        for group in optimizer["param_groups"]:
            group["capturable"] = True
    other.load_state(state)
    assert not any(group["capturable"] for o in other.optimizers.values() for group in o.param_groups)
    assert other.train_step(0) == trainer.train_step(0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records a graph")
def test_a_replayed_step_is_the_step(prepared):
    crops = load_crops(prepared / "train", TINY.image_size)
    replayed, called = (CaaeTrainer(CONFIG, TINY, crops, "cuda") for _ in range(2))
    called._graphed = called._learn
    for _ in range(8):
        ours, its = replayed.train_step(0), called.train_step(0)
        assert {name: x.item() for name, x in ours.items()} == pytest.approx(
            {name: x.item() for name, x in its.items()}, rel=1e-2
        )
