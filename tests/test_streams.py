"""Standard streams as they may be: with an encoding that lacks what is said, or closed."""

import io
import os
import subprocess
import sys

import pytest
from PIL import Image

from faceedit import cli
from faceedit.editing.editor import FaceEditor
from tests.conftest import FakeDetector, draw_face, face_at

ENCODINGS = ("ascii", "latin-1", "cp1252", "koi8-r")


@pytest.fixture
def main(monkeypatch, tiny_editor):
    """Runs a command line with streams of an encoding: exit code, and the bytes of stdout and stderr."""
    tiny_editor.detector = FakeDetector([face_at(0, 0, 32)])
    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)

    def runner(encoding, *arguments):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(sys, "argv", ["faceedit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *(stream.buffer.getvalue() for stream in streams.values())

    return runner


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_batch_survives_an_encoding_without_arrows(main, tmp_path, encoding):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "眉.png", "\udcff.png"):
        Image.fromarray(draw_face(32)).save(folder / name)
    code, out, err = main(encoding, "edit", folder, "--emotion", "sad", "-o", tmp_path / "out")
    assert (code, out.count(b"\n")) == (0, 3)
    assert b"\\u7709-edited.png" in out
    assert b"\xff-edited.png" in out
    assert b" -> valence" in err
    assert len(os.listdir(tmp_path / "out")) == 3


@pytest.mark.parametrize("command", [["--help"], ["edit", "--help"], ["train", "--help"], ["info"], ["nothing"]])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_commands_say_what_they_have_to_say_in_any_encoding(main, encoding, command):
    code, out, err = main(encoding, *command)
    assert code == (2 if command == ["nothing"] else 0)
    assert len(out + err) > 50


@pytest.mark.parametrize(
    ("closed", "arguments", "code"),
    [("<&-", "edit - --emotion sad", 2), ("<&-", "info a.png", 0), (">&-", "info a.png", 0), ("2>&-", "info b.png", 4)],
)
def test_a_stream_that_is_closed_is_no_traceback(tmp_path, closed, arguments, code):
    Image.fromarray(draw_face(32)).save(tmp_path / "a.png")
    script = f"{sys.executable} -m faceedit {arguments} {closed}"
    ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr + ended.stdout
