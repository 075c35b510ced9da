"""Training that is killed, damaged, or runs out of disk."""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from dataclasses import replace

import pytest

from faceedit.config import CaaeTraining
from faceedit.errors import FaceEditError, UsageError, WeightsError
from faceedit.train.checkpoint import EARLIER_FILE, STATE_FILE, has_state, load_state, locked, save_state
from faceedit.train.loop import train
from tests.conftest import TINY
from tests.test_train import same

# Every step is saved, so that many of the kills hit a checkpoint that is being written.
CONFIG = CaaeTraining(epochs=24, batch=4, perceptual="off", save_minutes=0)
KILLS = 20 if "FACEEDIT_FUZZ" in os.environ else 4  # each costs seconds
fork = multiprocessing.get_context("fork")


def in_child(work, *arguments):
    """A process of its own that does the work; torch's threads do not survive a fork, so it uses one."""

    def run():
        import torch

        torch.set_num_threads(1)
        work(*arguments)

    child = fork.Process(target=run)
    child.start()
    return child


@pytest.fixture(autouse=True)
def one_thread():
    # What training imports on its first step takes seconds: once here, instead of in every child.
    import torch
    import torch._dynamo
    import torch.utils.tensorboard

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_killed_at_random_moments_training_ends_as_if_it_had_not_been(prepared, tmp_path):
    run, moments = tmp_path / "run", random.Random(0)
    shutil.rmtree(prepared / "validation")  # sheets for every save would take most of the time
    whole = in_child(train, prepared, tmp_path / "whole", CONFIG, TINY)
    whole.join()
    assert whole.exitcode == 0
    for _ in range(KILLS):
        child = in_child(train, prepared, run, CONFIG, TINY, "cpu", has_state(run))
        # Two saves later at most, of the seventy-two, and somewhere within a step or a save.
        for _ in range(moments.randint(1, 2)):
            before = saved_at(run)
            while saved_at(run) == before and child.is_alive():
                time.sleep(0.0005)
        child.join(moments.uniform(0, 0.03))
        assert child.is_alive(), "it ended before it could be killed"
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    train(prepared, run, CONFIG, TINY, resume=True)
    assert same(load_state(run), load_state(tmp_path / "whole"))


def saved_at(run) -> int | None:
    try:
        return (run / STATE_FILE).stat().st_ino
    except FileNotFoundError:
        return None


def test_a_damaged_state_gives_way_to_the_one_before_it(prepared, tmp_path):
    run = tmp_path / "run"
    config = replace(CONFIG, epochs=4)
    train(prepared, run, config, TINY)
    whole = load_state(run)
    earlier = load_state(run, lambda line: pytest.fail(line))["step"]
    state = run / STATE_FILE
    data = bytearray(state.read_bytes())
    for damage in (data[: len(data) // 2], data[:100] + bytes([data[100] ^ 1]) + data[101:], b"", b"junk"):
        state.write_bytes(damage)
        told = []
        earlier = load_state(run, told.append)["step"]
        assert earlier < whole["step"]
        assert len(told) == 1
        assert str(earlier) in told[0]
    middle = len(data) // 2  # among the weights, where only a checksum can tell
    state.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert load_state(run)["step"] == earlier
    state.unlink()
    told = []
    train(prepared, run, config, TINY, resume=True, tell=told.append)
    assert told
    assert same(load_state(run), whole)
    (run / EARLIER_FILE).unlink()
    state.write_bytes(b"junk")
    with pytest.raises(WeightsError, match="damaged"):
        load_state(run)


def fill_up(run, state):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # a disk with no more room than this
    try:
        save_state(run, state)
    except FaceEditError as error:
        os._exit(error.exit_code)
    os._exit(99)


def test_a_full_disk_keeps_the_state_that_was_there(prepared, tmp_path):
    run = tmp_path / "run"
    train(prepared, run, replace(CONFIG, epochs=1), TINY)
    before = {path.name: path.read_bytes() for path in run.glob("state*")}
    child = in_child(fill_up, run, load_state(run))
    child.join()
    assert child.exitcode == 4
    assert {path.name: path.read_bytes() for path in run.glob("state*")} == before
    assert not list(run.glob(".state*"))


def test_two_runs_do_not_share_a_folder(prepared, tmp_path):
    with locked(tmp_path):
        child = in_child(lambda: os._exit(locks_out(tmp_path)))
        child.join()
        assert child.exitcode == 2
    assert locks_out(tmp_path) == 0


def locks_out(folder) -> int:
    try:
        with locked(folder):
            return 0
    except UsageError as error:
        return error.exit_code
