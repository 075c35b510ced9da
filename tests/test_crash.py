"""Work that is killed, interrupted, damaged, or runs out of disk."""

import gc
import importlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from faceedit import cli
from faceedit.config import CaaeTraining
from faceedit.data import prepare
from faceedit.editing.editor import FaceEditor
from faceedit.errors import FaceEditError, MemoryExhaustedError, UsageError, WeightsError
from faceedit.files import temporary_folder
from faceedit.training.checkpoint import EARLIER_FILE, STATE_FILE, has_state, load_state, locked, save_state
from faceedit.training.loop import train
from tests.conftest import TINY, FakeDetector, draw_face, face_at
from tests.training.test_loop import same

# Every step is saved, so that many of the kills hit a checkpoint that is being written.
CONFIG = CaaeTraining(epochs=24, batch=4, perceptual="off", save_minutes=0)
KILLS = 20 if "FACEEDIT_FUZZ" in os.environ else 4  # each costs seconds
fork = multiprocessing.get_context("fork")


def in_child(work, *arguments):
    """A process of its own that does the work; torch's threads do not survive a fork, so it uses one.

    Nor do those of a film's frame, for which its destruction would wait for ever: what the parent left is kept.
    """

    def run():
        import torch

        gc.freeze()
        torch.set_num_threads(1)
        work(*arguments)

    child = fork.Process(target=run)
    child.start()
    return child


@pytest.fixture(autouse=True)
def imported(one_thread):
    """What training imports on its first step takes seconds: once here, instead of in every child."""
    for module in ("torch._dynamo", "torch.utils.tensorboard"):
        importlib.import_module(module)


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
    train(prepared, run, config, TINY, resume=True, warn=told.append)
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


@pytest.fixture
def photos(tmp_path):
    """A folder of 24 photos, each a face, with their labels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["file,valence,arousal,split"]
    for i in range(24):
        Image.fromarray(draw_face(64, tint=i)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,0,0,train")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


class SlowDetector(FakeDetector):
    """Finds the face of each photo, and takes the time that a network would."""

    def __init__(self):
        super().__init__([face_at(0, 0, 64)])

    def detect(self, image, largest=False):
        time.sleep(0.01)
        return super().detect(image)


class WorkersDetector(SlowDetector):
    def __init__(self):
        super().__init__()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # Ctrl-C is not for workers


@pytest.fixture(params=["edit", "prepare"])
def command(request, photos, tiny_editor, monkeypatch):
    """A command line that makes files of the photos in a folder, and goes on there when it is given again."""
    tiny_editor.detector = SlowDetector()
    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)
    monkeypatch.setattr(prepare, "FaceDetector", WorkersDetector)
    monkeypatch.setattr(prepare, "get_context", lambda kind: fork)  # to start anew takes seconds
    monkeypatch.setattr(prepare, "CHUNK", 2)
    if request.param == "edit":
        return lambda out: ["edit", photos, "--emotion", "happy", "-o", out, "--skip-existing"]
    return lambda out: ["prepare", photos, "--out", out, "--size", "32", "--workers", "2"]


def start(command, log: Path):
    """A process that runs a command line, in a group of its own, as a shell has it."""

    def run():
        os.setsid()
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["faceedit", *map(str, command)]
        cli.main()

    return in_child(run)


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def running(group: int) -> int:
    """How many processes of a group there are."""
    states = [stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat")]
    return sum(state != "Z" and int(of) == group for state, _, of, *_ in states)


def wait_until(holds, what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)


def test_interrupted_and_killed_a_command_goes_on_to_the_same_files(command, tmp_path):
    whole, out, log = tmp_path / "whole", tmp_path / "out", tmp_path / "log"
    child = start(command(whole), log)
    child.join()
    assert child.exitcode == 0, log.read_text()

    def made() -> int:
        return len(list(out.rglob("[0-9]*.*")))

    # Ctrl-C reaches every process of a terminal's job; what kills for want of memory picks one.
    ends = (
        (signal.SIGINT, os.killpg, 130),
        (signal.SIGTERM, os.kill, 130),  # docker stop
        (signal.SIGHUP, os.killpg, 130),  # a terminal that is closed
        (signal.SIGKILL, os.kill, -9),
    )
    for number, end, code in ends:
        before = made()
        child = start(command(out), log)
        wait_until(lambda before=before, child=child: made() > before or not child.is_alive(), "nothing was made")
        end(child.pid, number)
        child.join()
        assert child.exitcode == code
        wait_until(lambda child=child: not running(child.pid), "a process was left")
        assert made() < 24
        assert code != 130 or not list(out.rglob(".*"))
    child = start(command(out), log)
    child.join()
    assert child.exitcode == 0
    assert files(out) == files(whole)
    assert "Traceback" not in log.read_text()


def test_a_worker_that_is_killed_is_one_sentence(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "FaceDetector", lambda: os.kill(os.getpid(), signal.SIGKILL))
    monkeypatch.setattr(prepare, "get_context", lambda kind: fork)
    with pytest.raises(MemoryExhaustedError, match="fewer workers"):
        prepare.prepare(photos, tmp_path / "out", 32, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_page_takes_along_what_was_sent_however_it_ends(tmp_path, tiny_editor, monkeypatch, number):
    pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")
    import httpx

    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    log = tmp_path / "log"
    child = start(["web", "--no-browser"], log)
    wait_until(lambda: log.exists() and "Ctrl-C" in log.read_text(), "the page did not open")
    address = log.read_text().split()[4].rstrip(";")
    sent = httpx.post(f"{address}gradio_api/upload", files={"files": ("a.png", b"private")}).json()
    assert Path(sent[0]).read_bytes() == b"private"
    os.killpg(child.pid, number)
    child.join()
    assert child.exitcode == (-9 if number == signal.SIGKILL else 130)
    if number == signal.SIGKILL:  # the next one does
        with temporary_folder("web"):
            assert len(list((tmp_path / "tmp").iterdir())) == 1
    assert not Path(sent[0]).exists()
    assert not list((tmp_path / "tmp").iterdir())
    assert "Traceback" not in log.read_text()
