import pytest
import torch

from faceedit.config import EstimatorTraining
from faceedit.data.crops import load_crops
from faceedit.kinds import MODELS
from faceedit.models.estimator import Estimator
from faceedit.training.checkpoint import export_weights, load_state
from faceedit.training.estimator import EstimatorTrainer
from faceedit.training.loop import train
from faceedit.weights import load_weights
from tests.conftest import TINY_ESTIMATOR
from tests.training.test_loop import same


@pytest.mark.parametrize("name", ["judge", "teacher"])
def test_estimators_take_crops_of_any_size(name):
    model = Estimator(MODELS[name].network).eval()
    for size in (64, 96, 130):
        affect, logits = model(torch.rand(2, 3, size, size) * 2 - 1)
        assert affect.shape == (2, 2)
        assert logits.shape == (2, 8)
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 12e6  # bytes as float16


def test_judge_and_teacher_share_neither_photos_nor_architecture():
    judge, teacher = (MODELS[name].network for name in ("judge", "teacher"))
    judged, taught = (MODELS[name].training for name in ("judge", "teacher"))
    assert judged.half != taught.half
    assert judged.seed != taught.seed
    assert judge.block != teacher.block
    assert judge.image_size != teacher.image_size


def test_rescaling_changes_affect_alone():
    model = Estimator(TINY_ESTIMATOR).eval()
    images = torch.rand(3, 3, 32, 32)
    affect, logits = model(images)
    model.rescale(torch.tensor([2.0, 3.0]), torch.tensor([0.5, -0.5]))
    scaled, same = model(images)
    torch.testing.assert_close(scaled, affect * torch.tensor([2.0, 3.0]) + torch.tensor([0.5, -0.5]))
    torch.testing.assert_close(same, logits)


def test_an_estimator_learns_from_its_half_and_resumes(prepared, tmp_path):
    training = EstimatorTraining(epochs=200, batch=4, learning_rate=3e-3, save_minutes=60)
    reports = []
    train(prepared, tmp_path / "run", training, TINY_ESTIMATOR, report=reports.append)
    assert reports[-1].losses["affect"] < 0.8 * reports[0].losses["affect"]
    assert load_state(tmp_path / "run")["support"].sum() == 6  # of 12 crops
    export_weights(tmp_path / "run", tmp_path / "tiny.safetensors")
    weights = load_weights(str(tmp_path / "tiny.safetensors"))
    assert weights.model.config == TINY_ESTIMATOR
    assert weights.training["half"] == 0


def test_an_interrupted_estimator_resumes_to_the_bitwise_same_end(prepared, tmp_path):
    training = EstimatorTraining(epochs=20, batch=4, save_minutes=60)

    def interrupt(report):
        if report.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, tmp_path / "part", training, TINY_ESTIMATOR, report=interrupt)
    train(prepared, tmp_path / "part", training, TINY_ESTIMATOR, resume=True)
    train(prepared, tmp_path / "whole", training, TINY_ESTIMATOR)
    assert same(load_state(tmp_path / "part"), load_state(tmp_path / "whole"))


def test_a_perturbed_estimator_sees_crops_moved_to_where_it_errs(prepared):
    training = EstimatorTraining(batch=6, perturbation=3.0)
    crops = load_crops(prepared / "train", 32)
    trainer = EstimatorTrainer(training, TINY_ESTIMATOR, crops, "cpu")
    trainer.published.eval()
    images, affect = trainer.crops.batch(torch.arange(6), "cpu")
    wanted = torch.zeros(6, 8)  # nothing is known of expressions
    moved = trainer._perturbed(images.clone(), affect, wanted, 1.0)
    lengths = (moved - images).flatten(1).norm(dim=1)
    assert 0 < lengths.min() < lengths.max() <= 1

    def error(x):
        return (trainer.published(x)[0] - affect).square().mean()

    assert error(moved) > error(images) > error(2 * images - moved)
