import csv

import numpy as np
import pytest

from faceedit.circumplex import Affect
from faceedit.editing.series import TABLE, series, write_series
from faceedit.errors import ExistsError, UsageError
from faceedit.media.image import Photo, read_photo
from tests.conftest import FakeDetector, draw_face, face_at


@pytest.fixture
def photo(tiny_editor):
    tiny_editor.detector = FakeDetector([face_at(8, 8, 48)])
    return Photo(np.pad(draw_face(48), ((8, 8), (8, 8), (0, 0))))


def table(folder):
    with open(folder / TABLE) as file:
        return list(csv.DictReader(file))


def test_steps_are_equal_and_what_the_judge_sees_stands_beside(tiny_editor, photo, tmp_path):
    made = series(tiny_editor, photo, Affect(0.2, 0.1), Affect(0.6, -0.1), 5, measure=True)
    assert len(list(write_series(made, 5, tmp_path, "a.jpg"))) == 5
    rows = table(tmp_path)
    assert [row["file"] for row in rows] == [f"a-{index}.jpg" for index in range(5)]
    assert [float(row["valence"]) for row in rows] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert [float(row["arousal"]) for row in rows] == pytest.approx([0.1, 0.05, 0, -0.05, -0.1])
    assert all(-1 <= float(row["reached_valence"]) <= 1 for row in rows)
    assert (read_photo(tmp_path / "a-0.jpg").pixels != read_photo(tmp_path / "a-4.jpg").pixels).any()


def test_ends_beyond_the_support_move_before_the_steps_are_made(tiny_editor, photo, tmp_path):
    made = series(tiny_editor, photo, Affect(-1, 0), Affect(1, 0), 7)
    targets = np.array([result.faces[0].target.pair for result in made])
    steps = np.diff(targets, axis=0)
    assert np.abs(steps - steps[0]).max() < 1e-6
    assert -0.2 < targets[0, 0] < 0.2  # the tiny editor's labels lie in the right half


def test_what_is_there_is_not_replaced_and_what_makes_no_sense_refused(tiny_editor, photo, tmp_path):
    def made(steps=2, **options):
        return series(tiny_editor, photo, Affect(0.2, 0), Affect(0.4, 0), steps, **options)

    list(write_series(made(), 2, tmp_path, "a.png"))
    with pytest.raises(ExistsError):
        list(write_series(made(), 2, tmp_path, "a.png"))
    list(write_series(made(), 2, tmp_path, "a.png", overwrite=True))
    for options in ({"steps": 1}, {"steps": 5000}, {"only": ("ears",)}, {"face": "all"}):
        with pytest.raises(UsageError):
            list(made(**options))


def test_a_table_that_appears_meanwhile_is_not_replaced(tiny_editor, photo, tmp_path):
    made = series(tiny_editor, photo, Affect(0.2, 0), Affect(0.4, 0), 2)
    writing = write_series(made, 2, tmp_path, "a.png")
    next(writing)
    (tmp_path / TABLE).write_text("mine")
    with pytest.raises(ExistsError):
        list(writing)
    assert (tmp_path / TABLE).read_text() == "mine"


def test_a_name_that_is_no_text_stands_in_the_table_as_the_system_has_it(tiny_editor, photo, tmp_path):
    made = series(tiny_editor, photo, Affect(0.2, 0), Affect(0.4, 0), 2)
    list(write_series(made, 2, tmp_path, "b\udcff.png"))
    assert b"b\xff-0.png," in (tmp_path / TABLE).read_bytes()
