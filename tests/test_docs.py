"""What the page on Python shows is what Python shows."""

import doctest
import shutil
from pathlib import Path

from faceedit.media.image import read_photo
from faceedit.media.video import write_video
from tests.conftest import ASTRONAUT

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_the_examples_of_the_page_on_python_run(tmp_path, monkeypatch):
    shutil.copy(ASTRONAUT, tmp_path / "photo.jpg")
    write_video(tmp_path / "clip.mp4", [read_photo(ASTRONAUT).pixels] * 3, fps=10)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (failed, tried > 15) == (0, True)
    written = {"angry.jpg", "grid.png", "animation.webp", "sad.mp4"}
    assert {path.name for path in tmp_path.iterdir()} == {"photo.jpg", "clip.mp4", *written}
