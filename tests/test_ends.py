"""Outputs that appear meanwhile, disks that are full, and signals at any moment: nothing is lost, nothing is left."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from faceedit import batch, cli
from faceedit.cli.app import app  # noqa: F401 - before children are forked
from faceedit.editing.editor import FaceEditor
from faceedit.errors import ExistsError, FileError, UnwritableError
from faceedit.files import remove_leftovers, temporary_folder, write_atomically
from faceedit.media import animation, video
from tests.conftest import ASTRONAUT, draw_face
from tests.test_crash import SlowDetector, fork, in_child, photos, start, wait_until  # noqa: F401

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch, links):
    if not links:

        def link(*arguments):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "a.txt"

    def write(file):
        file.write(b"ours")
        path.write_bytes(b"theirs")

    with pytest.raises(ExistsError, match="not to be replaced"):
        write_atomically(path, write, overwrite=False)
    assert path.read_bytes() == b"theirs"
    write_atomically(tmp_path / "b.txt", b"ours", overwrite=False)
    assert (tmp_path / "b.txt").read_bytes() == b"ours"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("options", "outputs"),
    [
        ({}, ["a-edited.png", "a-edited-2.png"]),
        ({"overwrite": True}, ["a-edited.png"]),
        ({"skip_existing": True}, ["a-edited.png"]),
        ({"output": Path("one.png")}, ["one.png"]),
    ],
)
def test_a_result_whose_name_was_taken_meanwhile(tmp_path, monkeypatch, options, outputs):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_face(16)).save("a.png")
    (job,) = batch.plan(batch.find_photos(["a.png"]), "edited", **options)
    job.output.write_bytes(b"theirs")
    ((done, outcome),) = batch.run([job], lambda photo: (photo, "facts"))
    assert sorted(os.listdir()) == sorted(["a.png", *outputs])
    assert (job.output.read_bytes() == b"theirs") == ("overwrite" not in options)
    assert isinstance(outcome, ExistsError) == ("output" in options)
    assert done.done == ("skip_existing" in options)
    assert done.output == Path(outputs[-1])
    ((done, _),) = batch.run([job], lambda photo: (photo, "facts"), again=True)  # as a cluster does after a death
    assert len(os.listdir()) == len(outputs) + 1


def test_two_runs_into_one_folder_lose_nothing(photos, tmp_path, tiny_editor, monkeypatch):  # noqa: F811
    tiny_editor.detector = SlowDetector()
    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)
    out = tmp_path / "out"
    children = [
        start(["edit", photos, "--emotion", emotion, "-o", out], tmp_path / emotion) for emotion in ("happy", "sad")
    ]
    for child in children:
        child.join()
        assert child.exitcode == 0
    made = [line for name in ("happy", "sad") for line in (tmp_path / name).read_text().splitlines() if "/out/" in line]
    assert len(set(made)) == len(list(out.iterdir())) == 48


def test_leftovers_are_those_whose_process_is_gone(tmp_path):
    def hold():
        with temporary_folder("web", tmp_path) as folder:
            (folder / "private.png").touch()
            write_atomically(tmp_path / "a.txt", lambda file: time.sleep(60))

    child = in_child(hold)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "nothing was written")
    keep = {".a.faceedit-short", "faceedit-ab12cd34", ".faceedit-ab12cd34", "a.faceedit-ab12cd34"}
    for name in keep:
        (tmp_path / name).touch()
    time.sleep(0.2)
    remove_leftovers([tmp_path, tmp_path / "none"])
    assert len(list(tmp_path.iterdir())) == 2 + len(keep)
    child.kill()
    child.join()
    (tmp_path / ".a\nb.png.faceedit-ab12cd34ab12cd34").touch()
    (tmp_path / ".link.faceedit-ab12cd34").symlink_to(tmp_path)
    remove_leftovers([tmp_path])
    assert set(os.listdir(tmp_path)) == {*keep, ".link.faceedit-ab12cd34"}


def test_a_name_that_no_file_can_have_is_an_error_of_ours(tmp_path):
    with pytest.raises(UnwritableError, match="zero byte"):
        write_atomically(tmp_path / "a\0b.png", b"")


def test_a_folder_taken_for_a_leftover_before_it_is_locked_gives_way_to_another(tmp_path, monkeypatch):
    opened = os.open

    def open_too_late(name, *arguments, **named):
        monkeypatch.undo()
        os.rmdir(name)  # as another process does
        return opened(name, *arguments, **named)

    monkeypatch.setattr(os, "open", open_too_late)
    with temporary_folder("web", tmp_path) as folder:
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def slow_frames():
    for number in range(40):
        time.sleep(0.01)
        yield draw_face(32, number / 40)


WRITERS = {
    "a.webp": lambda path: animation.write_animation(path, slow_frames(), 20, True, overwrite=False),
    "a.gif": lambda path: animation.write_animation(path, slow_frames(), 20, True, overwrite=False),
    "a.mp4": lambda path: video.write_video(path, slow_frames(), 20, overwrite=False),
    "a": lambda path: animation.write_animation(path, slow_frames(), 20, True),
    "a.txt": lambda path: write_atomically(path, lambda file: [file.write(bytes(999)) for _ in slow_frames()]),
}


def guarded(write, path):
    """In a child: what `faceedit` does of signals, around a writer."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, cli.interrupter())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        write(path)
    except KeyboardInterrupt:
        os._exit(130)


def test_an_interruption_as_the_file_is_made_leaves_nothing(tmp_path, monkeypatch):
    make = os.open

    def interrupted(*arguments, **options):
        os.close(make(*arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.txt", b"a")
    assert not os.listdir(tmp_path)


def test_a_forked_child_dies_of_a_signal_that_its_parent_handles():
    before = signal.signal(signal.SIGTERM, cli.interrupter())
    try:
        begun = fork.Event()
        child = in_child(lambda: (begun.set(), time.sleep(60)))
        assert begun.wait(30)
        os.kill(child.pid, signal.SIGTERM)
        child.join(30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert child.exitcode == -signal.SIGTERM  # where KeyboardInterrupt would be raised, 1 and a traceback


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_that_is_ended_leaves_all_or_nothing(tmp_path, monkeypatch, name, number):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    moments = random.Random(f"{name} {number}")
    for _ in range(2):
        child = in_child(guarded, WRITERS[name], tmp_path / name)
        child.join(moments.uniform(0.02, 0.35))
        os.kill(child.pid, number)
        child.join()
        assert child.exitcode in ((-9, 0) if number == signal.SIGKILL else (130, 0))
        remove_leftovers([tmp_path] if number == signal.SIGKILL else [])
        assert set(os.listdir(tmp_path)) <= {name}


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.mp4", "a"])
def test_what_appears_while_frames_are_drawn_is_not_replaced(tmp_path, name):
    def frames():
        yield draw_face(32)
        (tmp_path / name).mkdir() if name == "a" else (tmp_path / name).write_bytes(b"theirs")
        if name == "a":
            (tmp_path / name / "theirs").touch()
        yield draw_face(32)

    with pytest.raises(ExistsError):
        animation.write_animation(tmp_path / name, frames(), 20, True, overwrite=False)
    assert os.listdir(tmp_path) == [name]
    assert name == "a" or (tmp_path / name).read_bytes() == b"theirs"


def full(path, write):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        write(path)
    except FileError as error:
        os._exit(4 if str(path) in str(error) or "the video" in str(error) else 98)
    os._exit(99)


@pytest.mark.parametrize("name", WRITERS)
def test_on_a_full_disk_nothing_is_left_and_the_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = in_child(full, tmp_path / name, WRITERS[name])
    child.join()
    assert (child.exitcode, os.listdir(tmp_path)) == (4, [])


@pytest.mark.parametrize(("end", "unbuffered"), [("ulimit -f 1; exec {} > out", "1"), ("exec {} > /dev/full", "")])
def test_what_standard_output_does_not_take_is_an_error(end, unbuffered, tmp_path, tiny_weights):
    """A file that may grow no further than a block: a first write to it is short."""
    edit = f"{sys.executable} -m faceedit edit {ASTRONAUT} --emotion sad -o - --device cpu --weights {tiny_weights}"
    script = f"trap '' XFSZ; {end.format(edit)}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, "standard output: " in ended.stderr) == (4, True)
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
