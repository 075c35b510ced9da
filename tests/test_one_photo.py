"""One photo never ends a folder: whatever is raised for it is its own failure, named, and the others are done."""

import json
import struct
import sys

import pytest
from PIL import Image

from faceedit import cli
from faceedit.cluster import Worker
from faceedit.data import prepare
from faceedit.editing.editor import FaceEditor
from faceedit.errors import FaceEditError
from faceedit.faces.estimate import AffectEstimator
from tests.conftest import FakeDetector, draw_face, face_at

ERRORS = (
    KeyError(40965),
    struct.error("unpack requires a buffer of 8 bytes"),
    StopIteration(),
    OSError(5, "Input/output error"),
    FaceEditError("of ours"),
)


class FailingDetector(FakeDetector):
    """Finds the face of each photo, and raises an error at those of 48 pixels."""

    def __init__(self, error):
        super().__init__([face_at(0, 0, 32)])
        self.error = error

    def detect(self, image, largest=False):
        if len(image) == 48:
            raise self.error
        return super().detect(image)


@pytest.fixture
def folder(tmp_path):
    """Five photos, of which the second has 48 pixels a side."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(draw_face(48 if number == 1 else 64)).save(folder / f"{number}.png")
    rows = [f"{number}.png,0,0,train" for number in range(5)]
    (folder / "labels.csv").write_text("\n".join(["file,valence,arousal,split", *rows]))
    return folder


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def failing(request, tiny_editor, judge, monkeypatch):
    """What makes commands fail at one photo of the folder."""
    detector = FailingDetector(request.param)
    tiny_editor.detector = detector
    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)
    monkeypatch.setattr(AffectEstimator, "from_pretrained", lambda *arguments: judge)
    monkeypatch.setattr("faceedit.faces.detector.FaceDetector", lambda *arguments: detector)
    return detector


@pytest.mark.parametrize("command", [("edit", "--emotion", "happy"), ("grid", "--steps", "3")], ids=["edit", "grid"])
def test_one_photo_does_not_end_a_folder(run, failing, folder, tmp_path, command):
    name, *options = command
    code, out, err = run(name, folder, *options, "-o", tmp_path / "out", "--json")
    assert code == 7
    rows = [json.loads(line) for line in out.splitlines()]
    assert ["error" in row for row in rows] == [number == 1 for number in range(5)]
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert "Traceback" not in err
    assert f"1 of 5 photos failed: {folder / '1.png'}" in err


def test_one_photo_does_not_end_an_estimate(run, failing, folder):
    code, out, err = run("estimate", folder, "--json")
    assert code == 7
    assert ["error" in json.loads(line) for line in out.splitlines()] == [number == 1 for number in range(5)]
    assert f"1 of 5 photos failed: {folder / '1.png'}" in err


def test_one_photo_does_not_end_a_worker_of_a_cluster(failing, folder, tmp_path, tiny_editor):
    from faceedit.batch import find_photos, plan

    worker = Worker(None, lambda editor, photo: (photo, editor.detect(photo.pixels)), "", "")
    worker.editor = tiny_editor
    outcomes = list(worker._outcomes(plan(find_photos([str(folder)]), "edited", output=tmp_path / "out")))
    assert [isinstance(outcome[-1], Exception) for outcome in outcomes] == [number == 1 for number in range(5)]


def test_one_photo_does_not_end_a_preparation(run, failing, folder, tmp_path, monkeypatch):
    class Here:
        """A pool whose one worker is this process."""

        def __init__(self, count, context, start, arguments):
            start(*arguments)

        def map(self, work, chunks):
            return map(work, chunks)

        def shutdown(self, **options):
            pass

    monkeypatch.setattr(prepare, "FaceDetector", lambda: failing)
    monkeypatch.setattr(prepare, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(prepare, "_end_with_parent", lambda: None)
    code, _, err = run("prepare", folder, "--out", tmp_path / "out", "--size", "32")
    assert code == (0 if "of ours" in str(failing.error) else 7)
    assert "4 training and 0 validation crops" in err
    assert str(folder / "1.png") in err


def test_an_animation_that_fails_is_named(run, failing, folder):
    code, out, err = run("animate", folder / "1.png", "--seconds", "0.2")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    if "of ours" not in str(failing.error):
        assert f"{folder / '1.png'} could not be animated" in err


@pytest.mark.parametrize("frame", [0, 2], ids=["followed", "edited"])
def test_a_film_that_fails_is_named(run, failing, clip, tiny_editor, monkeypatch, frame):
    """While its face is sought, and while it is edited."""
    seen, encode = [], tiny_editor.encode_aligned

    def fail(*arguments, **options):
        seen.append(arguments)
        if len(seen) > frame:
            raise failing.error
        return encode(*arguments)

    if frame:
        monkeypatch.setattr(failing, "detect", FakeDetector([face_at(20, 30, 60)]).detect)
        monkeypatch.setattr(tiny_editor, "encode_aligned", fail)
    else:
        monkeypatch.setattr(failing, "detect", fail)
    code, out, err = run("edit", clip.path, "--emotion", "happy")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert not clip.path.with_stem("clip-edited").exists()
    if "of ours" not in str(failing.error):
        assert f"{clip.path} could not be edited" in err


@pytest.mark.parametrize("photos", [("1.png",), ("0.png", "1.png")])
def test_with_debug_the_traceback_is_shown(capsys, monkeypatch, failing, folder, photos):
    options = ["edit", *(str(folder / name) for name in photos), "--emotion", "happy"]
    monkeypatch.setattr(sys, "argv", ["faceedit", "--debug", *options])
    with pytest.raises(SystemExit):
        cli.main()
    err = capsys.readouterr().err
    assert "Traceback" in err or "of ours" in err
    assert "\\n" not in err  # a line is a line
    assert type(failing.error).__name__ in err


def test_the_page_says_that_it_failed(failing, folder, tiny_editor, tmp_path, caplog):
    gr = pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")
    from faceedit.web.handlers import Handlers

    page = Handlers(tiny_editor, tmp_path)
    with pytest.raises(gr.Error) as raised:
        page.find(page.open(str(folder / "1.png"))[0])
    assert len(str(raised.value)) > 5
    assert str(tmp_path) not in str(raised.value)
