"""Training that is killed, damaged, or runs out of disk."""

import multiprocessing
import os
import random
import resource
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
CONFIG = CaaeTraining(epochs=20, batch=4, perceptual="off", save_minutes=0)
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
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_killed_at_twenty_moments_training_ends_as_if_it_had_not_been(prepared, tmp_path):
    start = time.monotonic()
    whole = in_child(train, prepared, tmp_path / "whole", CONFIG, TINY)
    whole.join()
    assert whole.exitcode == 0
    length = time.monotonic() - start
    moments = random.Random(0)
    kills = 0
    while kills < 20:
        child = in_child(train, prepared, tmp_path / "run", CONFIG, TINY, "cpu", has_state(tmp_path / "run"))
        child.join(moments.uniform(0.1, 0.5) * length)
        if child.exitcode is None:
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += 1
        if child.exitcode == 0:
            assert kills > 3, "it was not killed often enough to tell"
            break
        assert child.exitcode == -signal.SIGKILL
    if child.exitcode:
        train(prepared, tmp_path / "run", CONFIG, TINY, resume=has_state(tmp_path / "run"))
    assert same(load_state(tmp_path / "run"), load_state(tmp_path / "whole"))


def test_a_damaged_state_gives_way_to_the_one_before_it(prepared, tmp_path):
    run = tmp_path / "run"
    train(prepared, run, CONFIG, TINY)
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
    train(prepared, run, CONFIG, TINY, resume=True, tell=told.append)
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
