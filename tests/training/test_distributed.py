"""Training by two processes. The launcher starts them once for all tests, and each writes down what happens to it."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from faceedit.cli import main
from faceedit.config import CaaeTraining, EstimatorTraining, WarpTraining
from faceedit.data.crops import Crops
from faceedit.errors import FaceEditError
from faceedit.kinds import MODELS, Preset
from faceedit.training import loop
from faceedit.training.caae import CaaeTrainer
from faceedit.training.checkpoint import load_state
from faceedit.training.loop import train
from faceedit.training.trainer import Trainer
from faceedit.weights import load_weights
from tests.conftest import TINY, TINY_ESTIMATOR, TINY_WARP, draw_faces

COMMON = {"epochs": 3, "batch": 2, "save_minutes": 60.0}
CAAE = CaaeTraining(**COMMON, perceptual="off")


def runs(teacher):
    return {
        "editor": (WarpTraining(**COMMON, teacher=teacher), TINY_WARP),
        "caae": (CAAE, TINY),
        "judge": (EstimatorTraining(**COMMON, perturbation=0.3), TINY_ESTIMATOR),
    }


def exactly(patch):
    """In float32, without dropout, which each process draws for itself, and reporting each epoch however slow it is."""
    patch.setattr(Trainer, "autocast", lambda self: contextlib.nullcontext())
    patch.setattr(nn.Dropout, "forward", lambda self, x: x)
    patch.setattr(loop, "REPORT_SECONDS", float("inf"))


@pytest.fixture(scope="module", autouse=True)
def exact():
    with pytest.MonkeyPatch.context() as patch:
        yield exactly(patch)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    draw_faces(folder / "data")
    return folder


@pytest.fixture(scope="module")
def alone(out, tiny_judge):
    """The losses of each run by a single process with twice the batch."""
    losses = {}
    for name, (training, network) in runs(str(tiny_judge)).items():
        reports = []
        train(out / "data", out / f"{name}-alone", replace(training, batch=4), network, report=reports.append)
        losses[name] = [report.losses for report in reports]
    return losses


@pytest.fixture(scope="module")
def together(out, tiny_judge):
    """What each of two processes wrote down, and what they printed."""
    train(out / "data", out / "uneven", replace(CAAE, epochs=1, batch=5), TINY)
    launch = "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --main_process_port 0"
    command = [sys.executable, "-m", *launch.split(), "-m", "tests.training.test_distributed", out, tiny_judge]
    # The launcher must not find anyone's own settings, which it keeps in HF_HOME.
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "HF_HOME": str(out)}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)], done.stdout


@pytest.mark.parametrize("name", ["editor", "caae", "judge"])
def test_two_processes_learn_what_one_learns_with_twice_the_batch(together, alone, name):
    (first, second), _ = together
    assert len(first[name]["losses"]) == len(alone[name])
    for got, wanted in zip(first[name]["losses"], alone[name], strict=True):
        assert got == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    assert first[name]["weights"] == second[name]["weights"]
    assert second[name]["losses"] == []  # the first reports


def test_no_crop_is_seen_twice_in_an_epoch(together):
    (first, second), _ = together
    steps = list(zip(first["caae"]["seen"], second["caae"]["seen"], strict=True))
    assert len(steps) == 9
    for epoch in range(3):
        seen = [i for shares in steps[3 * epoch : 3 * epoch + 3] for share in shares for i in share]
        assert sorted(seen) == list(range(12))


def test_the_first_process_alone_writes(together, out):
    assert len(list((out / "editor").glob("events.out.tfevents.*"))) == 1
    assert len(list((out / "editor" / "sheets").iterdir())) == 3


def test_the_command_trains_a_teacher_and_its_editor_and_prints_once(together, out):
    assert together[1] == f"{out / 'command'}\n"
    assert load_state(out / "command" / "teacher")["step"] == 3
    assert load_state(out / "command")["step"] > 0
    assert load_weights(str(out / "command" / "teacher.safetensors")).training["batch"] == 4


def test_interrupted_on_one_process_both_stop_and_one_goes_on(together, alone, out):
    (first, second), _ = together
    assert first["interrupted"]["stopped"] == second["interrupted"]["stopped"] == "KeyboardInterrupt()"
    assert first["interrupted"]["step"] == second["interrupted"]["step"] == 5
    assert load_state(out / "interrupted")["step"] == 5
    reports = []
    train(out / "data", out / "interrupted", CAAE, TINY, resume=True, report=reports.append)
    assert [report.step for report in reports] == [6, 9]
    assert reports[-1].losses == pytest.approx(alone["caae"][-1], rel=1e-5, abs=1e-7)


def test_two_processes_go_on_with_uneven_shares_of_a_batch(together, out):
    (first, _), _ = together
    reports = []
    train(out / "data", out / "uneven-alone", replace(CAAE, batch=5), TINY, report=reports.append)
    assert {len(indices) for indices in first["uneven"]["seen"]} == {3}
    for got, report in zip(first["uneven"]["losses"], reports[1:], strict=True):
        assert got == pytest.approx(report.losses, rel=1e-5, abs=1e-7)


def test_a_loss_that_is_no_number_on_one_process_stops_both(together, out):
    for told in together[0]:
        assert "reconstruction loss is not a number" in told["broken"]["stopped"]
        assert told["broken"]["step"] == 6
    assert load_state(out / "broken")["step"] == 3


def test_minutes_end_with_the_same_step(together, out):
    first, second = together[0]
    assert first["timed"]["step"] == second["timed"]["step"] == load_state(out / "timed")["step"]
    assert first["timed"]["weights"] == second["timed"]["weights"]


def work(out: Path, teacher: str) -> None:
    """What each process does."""
    rank = int(os.environ["RANK"])
    told, trainers, seen = {}, [], []
    join, batch, step = Trainer.join, Crops.batch, CaaeTrainer.train_step

    def joining(self, world):
        trainers.append(self)
        join(self, world)

    def seeing(self, indices, device):
        if len(self) == 12:  # and not the held-out ones
            seen.append(indices.tolist())
        return batch(self, indices, device)

    def run(name, training, network, resume=False):
        seen.clear()
        reports, stopped = [], None
        try:
            train(out / "data", out / name, training, network, "cpu", resume, reports.append)
        except (FaceEditError, KeyboardInterrupt) as error:
            stopped = repr(error)
        trainer = trainers[-1]
        told[name] = {
            "losses": [report.losses for report in reports],
            "seen": seen.copy(),
            "stopped": stopped,
            "step": trainer.step,
            "weights": [digest(net) for net in (*trainer.networks.values(), trainer.ema)],
        }

    def interrupted(self, progress):
        if rank == 1 and self.step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, progress)

    def breaking(self, progress):
        losses = step(self, progress)
        if rank == 1 and self.step > 3:
            losses["reconstruction"] *= float("nan")
        return losses

    patch = pytest.MonkeyPatch()
    exactly(patch)
    patch.setattr(Trainer, "join", joining)
    patch.setattr(Crops, "batch", seeing)
    for name, (training, network) in runs(teacher).items():
        run(name, training, network)
    run("uneven", replace(CAAE, batch=5), TINY, resume=True)
    run("timed", replace(CAAE, minutes=0.01), TINY)
    patch.setattr(CaaeTrainer, "train_step", breaking)
    run("broken", CAAE, TINY)
    patch.setattr(CaaeTrainer, "train_step", interrupted)
    run("interrupted", CAAE, TINY)
    (out / f"{rank}.json").write_text(json.dumps(told))
    patch.setattr(CaaeTrainer, "train_step", step)
    patch.setitem(MODELS, "editor", Preset(TINY_WARP, WarpTraining(**COMMON)))
    patch.setitem(MODELS, "teacher", Preset(TINY_ESTIMATOR, EstimatorTraining(**COMMON, half=1)))
    sys.argv = f"faceedit train --device cpu --data {out / 'data'} --run {out / 'command'}".split()
    main()


def digest(network: nn.Module) -> str:
    tensors = network.state_dict().values()
    return hashlib.sha256(b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)).hexdigest()


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
