import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from faceedit.config import CaaeTraining
from faceedit.errors import FaceEditError, RunExistsError, WeightsError
from faceedit.training.caae import CaaeTrainer
from faceedit.training.checkpoint import EARLIER_FILE, STATE_FILE, export_weights, load_state, save_state
from faceedit.training.loop import train
from faceedit.weights import load_weights
from tests.conftest import TINY

CONFIG = CaaeTraining(epochs=4, batch=4, perceptual="off", save_minutes=60)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a if key not in ("seconds", "configs"))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def goes_on_alike(trainer, again):
    """Whether a fresh trainer that takes up the state of another makes the same next step."""
    trainer.train_step(0)
    again.load_state(deepcopy(trainer.state()))
    trainer.train_step(0.5)
    again.train_step(0.5)
    return same(trainer.state(), again.state())


def check_gradients(trainer):
    """Every part that learns gets a gradient in the second step: what begins at nothing lets nothing through before."""
    trainer.train_step(0)
    trainer.train_step(0)
    for name, network in trainer.networks.items():
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{name} {key}"
            assert parameter.grad.abs().sum() > 0, f"{name} {key}"


def test_training_learns_to_reconstruct_and_leaves_what_it_promises(prepared, tmp_path):
    reports = []
    train(prepared, tmp_path / "run", replace(CONFIG, epochs=40, learning_rate=2e-3), TINY, report=reports.append)
    assert reports[-1].losses["reconstruction"] < 0.7 * reports[0].losses["reconstruction"]
    assert reports[-1].step == reports[-1].steps == 120
    sheets = {path.name.split("-")[0] for path in (tmp_path / "run" / "sheets").iterdir()}
    assert sheets == {"samples", "grid"}
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
    export_weights(tmp_path / "run", tmp_path / "tiny.safetensors")
    weights = load_weights(str(tmp_path / "tiny.safetensors"))
    assert weights.training["steps"] == 120
    assert weights.support.counts.sum() == 12
    state = load_state(tmp_path / "run")
    for name, tensor in weights.model.state_dict().items():
        torch.testing.assert_close(tensor, state["ema"][name], atol=1e-3, rtol=1e-3)


def test_a_killed_run_resumes_to_the_bitwise_same_end(prepared, tmp_path, one_thread):
    train(prepared, tmp_path / "whole", CONFIG, TINY)
    code = f"""
import torch
torch.set_num_threads(1)
from faceedit.training.loop import train
from tests.conftest import TINY
from tests.training.test_loop import CONFIG
import sys, time
def report(r):
    print(r.step, flush=True)
    time.sleep(0.3 if r.step >= 6 else 0)
train({str(prepared)!r}, {str(tmp_path / "killed")!r}, CONFIG, TINY, report=report)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 9:  # one epoch beyond a saved state
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    interrupted_at = load_state(tmp_path / "killed")["step"]
    assert 0 < interrupted_at < 12
    train(prepared, tmp_path / "killed", CONFIG, TINY, resume=True)
    assert same(load_state(tmp_path / "killed"), load_state(tmp_path / "whole"))


def test_ctrl_c_saves(prepared, tmp_path):
    def interrupt(report):
        if report.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, tmp_path / "run", CONFIG, TINY, report=interrupt)
    assert load_state(tmp_path / "run")["step"] == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_within_a_step_waits_for_its_end(prepared, tmp_path, monkeypatch, number):
    before = signal.signal(number, signal.default_int_handler)  # as the command line has it
    step = CaaeTrainer.update

    def interrupted(self, name, loss):
        step(self, name, loss)
        if self.step == 4 and name == "caae" and not came:
            came.append(True)
            os.kill(os.getpid(), number)

    came = []
    monkeypatch.setattr(CaaeTrainer, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(prepared, tmp_path / "part", CONFIG, TINY)
    assert load_state(tmp_path / "part")["step"] == 5
    assert signal.signal(number, before) is signal.default_int_handler
    train(prepared, tmp_path / "part", CONFIG, TINY, resume=True)
    train(prepared, tmp_path / "whole", CONFIG, TINY)
    assert same(load_state(tmp_path / "part"), load_state(tmp_path / "whole"))


def test_an_empty_validation_folder_is_none(prepared, tmp_path):
    for path in (prepared / "validation").iterdir():
        path.unlink()
    train(prepared, tmp_path / "run", replace(CONFIG, epochs=1), TINY)
    assert not (tmp_path / "run" / "sheets").exists()


def test_a_loss_that_is_no_number_stops_with_the_last_good_state(prepared, tmp_path, monkeypatch):
    step = CaaeTrainer.train_step

    def breaking(self, progress):
        losses = step(self, progress)
        if self.step > 3:
            losses["reconstruction"] = losses["reconstruction"] * float("nan")
        return losses

    monkeypatch.setattr(CaaeTrainer, "train_step", breaking)
    with pytest.raises(FaceEditError, match="reconstruction loss is not a number"):
        train(prepared, tmp_path / "run", CONFIG, TINY)
    assert load_state(tmp_path / "run")["step"] == 3


def test_minutes_end_a_run(prepared, tmp_path):
    start = time.monotonic()
    train(prepared, tmp_path / "run", replace(CONFIG, epochs=10**6, minutes=0.01), TINY)
    assert time.monotonic() - start < 20
    assert load_state(tmp_path / "run")["seconds"] >= 0.6


def test_a_state_that_does_not_fit_is_refused_before_anything_is_allocated(prepared, tmp_path):
    run = tmp_path / "run"
    train(prepared, run, replace(CONFIG, epochs=1), TINY)
    whole = load_state(run)
    configs = json.loads(whole["configs"])
    claims = [{"image_size": 10**7}, {"encoder_channels": [10**9] * 4}, {"encoder_channels": [65536] * 4}]
    claimed = [whole | {"configs": json.dumps(configs | {"network": configs["network"] | claim})} for claim in claims]
    for state in (*claimed, [1], {"step": 3}, whole | {"configs": "[]"}, whole | {"ema": {}}):
        (run / EARLIER_FILE).unlink(missing_ok=True)
        save_state(run, state)
        with pytest.raises(WeightsError):
            train(prepared, run, CONFIG, TINY, resume=True)
        with pytest.raises(WeightsError):
            export_weights(run, tmp_path / "a.safetensors")
    huge = {"discriminator_channels": [65536] * 4}
    huge = whole | {"configs": json.dumps(configs | {"network": configs["network"] | huge})}
    for state in (huge, whole | {"networks": {}}, whole | {"optimizers": {}}):
        (run / EARLIER_FILE).unlink(missing_ok=True)
        save_state(run, state)
        with pytest.raises(WeightsError):
            train(prepared, run, CONFIG, TINY, resume=True)


def test_runs_are_not_overwritten_and_states_not_trusted(prepared, tmp_path):
    train(prepared, tmp_path / "run", replace(CONFIG, epochs=1), TINY)
    with pytest.raises(RunExistsError, match="already holds a run"):
        train(prepared, tmp_path / "run", CONFIG, TINY)
    with pytest.raises(WeightsError, match="no training state"):
        train(prepared, tmp_path / "none", CONFIG, TINY, resume=True)
    state = tmp_path / "run" / STATE_FILE
    state.write_bytes(state.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="damaged"):
        train(prepared, tmp_path / "run", CONFIG, TINY, resume=True)
