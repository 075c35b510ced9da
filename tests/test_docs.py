"""What the page on Python shows is what Python shows."""

import doctest
import inspect
import shutil
from pathlib import Path

import faceedit
from faceedit.media.image import read_photo
from faceedit.media.video import write_video
from tests.conftest import ASTRONAUT

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_every_public_name_says_what_it_is():
    bare = []
    for name in faceedit.__all__:
        public = getattr(faceedit, name)
        members = [member for member in vars(public) if not member.startswith("_") and member not in fields_of(public)]
        bare += [name] if not public.__doc__ or public.__doc__.startswith(f"{name}(") else []
        bare += [f"{name}.{member}" for member in members if not inspect.getdoc(getattr(public, member))]
    assert bare == []


def fields_of(public) -> set[str]:
    """The fields of a dataclass, which its docstring explains."""
    return set(getattr(public, "__dataclass_fields__", ()))


def test_the_examples_of_the_page_on_python_run(tmp_path, monkeypatch):
    shutil.copy(ASTRONAUT, tmp_path / "photo.jpg")
    write_video(tmp_path / "clip.mp4", [read_photo(ASTRONAUT).pixels] * 3, fps=10)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (failed, tried > 15) == (0, True)
    written = {"angry.jpg", "grid.png", "animation.webp", "sad.mp4"}
    assert {path.name for path in tmp_path.iterdir()} == {"photo.jpg", "clip.mp4", *written}
