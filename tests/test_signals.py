"""Every command that writes: ended by signals at any moment, with a full disk, and two of them at once."""

import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from faceedit import cli, config, hub, kinds
from faceedit.data import prepare
from faceedit.editing.editor import FaceEditor
from faceedit.faces.estimate import AffectEstimator
from faceedit.media.video import open_video, write_video
from faceedit.training.checkpoint import has_state, load_state
from faceedit.training.loop import train
from tests.conftest import TINY, draw_face, draw_faces, film
from tests.test_crash import CONFIG, SlowDetector, files, fork, imported, in_child, running, wait_until  # noqa: F401
from tests.training.test_loop import same

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
ROUNDS = 5 if "FACEEDIT_FUZZ" in os.environ else 1
COMMANDS = {
    "edit": ["edit", "photo.png", "--emotion", "happy", "-o", "OUT/a.png"],
    "grid": ["grid", "photo.png", "--steps", "3", "-o", "OUT/a.tif"],
    "targets": ["edit", "--targets", "targets.csv", "-o", "OUT"],
    "series": ["series", "photo.png", "--steps", "3", "-o", "OUT"],
    "film": ["edit", "clip.mp4", "--emotion", "happy", "-o", "OUT/a.mp4"],
    "animate": ["animate", "photo.png", "--seconds", "1", "-o", "OUT/a.webp"],
    "estimate": ["estimate", "photo.png", "--plot", "OUT/a.png"],
    "evaluate": ["evaluate", "photos", "--embedder", "off", "--faces", "2", "-o", "OUT/a.json", "--sheet", "OUT/a.png"],
    "export": ["export", "run", "-o", "OUT/a.safetensors"],
    "fetch": ["fetch", "hub:me/faces", "-o", "OUT/a.safetensors"],
    "augment": ["augment", "photos", "--per-face", "1", "-o", "OUT"],
    "prepare": ["prepare", "photos", "--out", "OUT", "--size", "32", "--workers", "1"],
    "train": ["train", "--model", "caae", "--data", "data", "--run", "OUT", "--device", "cpu"],
}
TABLES = ("results.csv", "labels.csv")  # of which a run that ended early has a part
GO_ON = ("targets", "augment", "prepare", "train")  # into a folder of theirs, with what is there already


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the commands read."""
    place = tmp_path_factory.mktemp("place")
    Image.fromarray(draw_face(64)).save(place / "photo.png")
    (place / "targets.csv").write_text("file,emotion\nphoto.png,happy\nphoto.png,sad\nphoto.png,happy\n")
    write_video(place / "clip.mp4", film(), 12.0)
    draw_faces(place / "data")
    train(place / "data", place / "run", config.CaaeTraining(epochs=1, batch=4, perceptual="off"), TINY)
    (place / "photos").mkdir()
    for number in range(8):
        Image.fromarray(draw_face(64, number / 8, number)).save(place / "photos" / f"{number}.png")
    rows = [f"{number}.png,{number / 8},0,{'validation' if number % 2 else 'train'}" for number in range(8)]
    (place / "photos" / "labels.csv").write_text("\n".join(["file,valence,arousal,split", *rows]))
    return place


@pytest.fixture(autouse=True)
def small(place, tiny_editor, judge, tiny_weights, monkeypatch):
    """Everything small, and slow enough that a signal comes in between."""

    class Detector(SlowDetector):
        def __init__(self, device="cpu"):
            super().__init__()

    def fetch(*arguments):
        time.sleep(0.05)
        return tiny_weights

    tiny_editor.detector = Detector()
    monkeypatch.chdir(place)
    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)
    monkeypatch.setattr(AffectEstimator, "from_pretrained", lambda *arguments: judge)
    monkeypatch.setattr("faceedit.faces.detector.FaceDetector", Detector)
    monkeypatch.setattr("faceedit.evaluation.metrics.RESAMPLES", 30)
    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.setattr(prepare, "FaceDetector", Detector)
    monkeypatch.setattr(prepare, "get_context", lambda kind: fork)
    monkeypatch.setattr(prepare, "CHUNK", 2)
    monkeypatch.setitem(kinds.MODELS, "caae", kinds.Preset(TINY, CONFIG))


def start(name: str, out: Path, room: int | None = None):
    """A process that runs a command in a group of its own, and what it says. room: bytes that a file may have."""
    arguments = [word.replace("OUT", str(out)) for word in COMMANDS[name]]
    if name == "train" and has_state(out):
        arguments = ["train", "--resume", "--run", str(out), "--device", "cpu"]
    out.mkdir(exist_ok=True)
    log, writing = os.pipe()  # which a full disk leaves as it is

    def run():
        os.setsid()
        for stream in (1, 2):
            os.dup2(writing, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["faceedit", *arguments]
        if room is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            cli.main()
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)

    child = in_child(run)
    os.close(writing)
    return child, log


def ended(started) -> tuple[int, str]:
    child, log = started
    child.join()
    wait_until(lambda: not running(child.pid), "a process was left")
    with open(log, errors="replace") as file:
        said = file.read()
    assert "Traceback" not in said, said
    return child.exitcode, said


def results(out: Path) -> dict[str, bytes]:
    """What a command made, without TensorBoard's records of the time that it took."""
    return {name: data for name, data in files(out).items() if "tfevents" not in name}


@pytest.fixture(scope="module")
def runs():
    """What commands made when they were left alone, and how long that took."""
    return {}


@pytest.fixture(params=COMMANDS)
def whole(request, runs, tmp_path_factory):
    """A command's name, what it makes when it is left alone, and how long that takes."""
    name = request.param
    if name not in runs:
        out, clock = tmp_path_factory.mktemp(name) / "whole", time.monotonic()
        code, said = ended(start(name, out))
        assert code == 0, said
        runs[name] = out, time.monotonic() - clock
    return name, *runs[name]


def check(name: str, out: Path, whole: Path, parts: bool = False) -> None:
    """That a folder holds what a command makes. parts: or some of it, of which each file is whole."""
    made, wanted = results(out), results(whole)
    if name == "train" and (not parts or has_state(out)):
        assert parts or same(load_state(out), load_state(whole))
        assert parts or made.keys() - wanted.keys() == set()
        return
    assert parts or made.keys() == wanted.keys()
    for file, data in made.items():
        if file.endswith(".json") and name == "evaluate":  # which tells times
            assert json.loads(data).keys() == json.loads(wanted[file]).keys()
        elif parts and file in TABLES:
            assert data.endswith(b"\n")
        elif file.endswith(".mp4"):  # what lies in memory sways x264
            assert len(list(open_video(out / file))) == 24
        else:
            assert Path(file).name.startswith(".") or data == wanted[file], file


def test_ended_at_any_moment(whole, tmp_path):
    name, made, seconds = whole
    moments, out = random.Random(name), tmp_path / "out"
    for number in sorted(SIGNALS * ROUNDS, key=lambda number: number == signal.SIGKILL):
        for file in [] if name in GO_ON else list(out.glob("[!.]*")):
            file.unlink()
        child, log = start(name, out)
        child.join(moments.uniform(0.05, 0.9) * seconds)
        if child.is_alive():
            os.killpg(child.pid, number)
        code, said = ended((child, log))
        assert code in (0, 130, -number), said
        assert code in (0, 130) or number == signal.SIGKILL or not files(out), said
        check(name, out, made, parts=code != 0)
        if number != signal.SIGKILL:
            assert not list(out.rglob(".*.faceedit-*")), said
    for file in [] if name in GO_ON else list(out.glob("[!.]*")):
        file.unlink()
    left = out / ".a.png.faceedit-ab12cd34"  # as a killed run leaves it, wherever it was
    left.touch()
    code, said = ended(start(name, out))
    assert (code, left.exists()) == (0, False), said
    check(name, out, made)


def test_a_full_disk_is_an_error_and_leaves_what_was_there(whole, tmp_path):
    name, made, _ = whole
    out = tmp_path / "out"
    code, said = ended(start(name, out, room=800))
    wanted = 7 if name in ("targets", "augment") else 4  # for them it befalls each of many photos
    assert (code, "cannot write" in said or "No space" in said or "too large" in said) == (wanted, True), said
    check(name, out, made, parts=True)
    assert not list(out.rglob(".*.faceedit-*"))


def test_two_at_once_make_one_result(whole, tmp_path):
    name, made, _ = whole
    out = tmp_path / "out"
    both = [start(name, out), start(name, out)]
    codes = sorted(ended(one)[0] for one in both)
    assert codes == ([0, 0] if name in ("targets", "augment", "prepare") else [0, 2])
    check(name, out, made)
