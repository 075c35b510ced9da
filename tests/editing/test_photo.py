from dataclasses import replace

import numpy as np
import pytest

from faceedit.circumplex import Affect, grid_axis
from faceedit.editing.paths import timed_path
from faceedit.editing.photo import animate, choose_face, draw_grid, edit_chosen, edit_photo
from faceedit.editing.target import Request
from faceedit.errors import NoFaceError, UsageError
from faceedit.media.image import Photo
from faceedit.media.provenance import COMPOSITE, DRAWN, from_xmp
from tests.conftest import FakeDetector, draw_face, face_at

TO_HAPPY = Request(0.5, 0.1)


@pytest.fixture
def photo():
    """A photo of two faces, with metadata."""
    pixels = np.full((120, 200, 3), 128, np.uint8)
    pixels[10:110, 10:110] = draw_face(100)
    pixels[30:90, 130:190] = draw_face(60, 0.7)
    return Photo(pixels, icc=b"profile", exif=b"Exif\0\0", animated=True)


@pytest.fixture
def editor(tiny_editor):
    tiny_editor.detector = FakeDetector([face_at(10, 10, 100), face_at(130, 30, 60)])
    return tiny_editor


def test_the_result_says_what_was_done_with_which_face(editor, photo):
    result = edit_photo(editor, photo, [("2", TO_HAPPY)])
    (face,) = result.faces
    assert (face.number, face.box) == (2, (130, 30, 190, 90))
    assert (face.target, face.nearest_supported, face.beyond_support) == (Affect(0.5, 0.1), Affect(0.5, 0.1), False)
    assert (result.photo.pixels[:, :115] == photo.pixels[:, :115]).all()
    assert (result.photo.pixels != photo.pixels).any()
    assert (result.photo.icc, result.photo.exif) == (photo.icc, photo.exif)
    told = from_xmp(result.photo.xmp)
    assert (told.source_type, told.edits) == (COMPOSITE, face.edit)
    assert result.notes == ("the file holds several pictures: the first is taken",)
    assert edit_photo(editor, photo, [("1", TO_HAPPY)], source_metadata=False).photo.exif is None


def test_a_target_beyond_the_support_goes_to_the_nearest(editor, photo):
    (face,) = edit_photo(editor, photo, [("1", Request(-0.9, 0))]).faces
    assert face.beyond_support
    assert face.nearest_supported == editor.support.nearest(Affect(-0.9, 0))
    assert f"nearest supported, {face.nearest_supported}" in str(face)


def test_a_face_that_was_chosen_before_is_edited_alike(editor, photo):
    once = edit_photo(editor, photo, [("2", TO_HAPPY)])
    chosen = choose_face(editor, photo.pixels, 2)
    again = edit_chosen(editor, photo, [(chosen, Affect(0.5, 0.1))])
    (face,) = again.faces
    assert face == replace(once.faces[0], reached=None)  # which takes time, and is left out
    assert (again.photo.pixels == once.photo.pixels).all()


def test_what_the_networks_draw_alone_is_declared_as_drawn(editor, photo):
    crop = edit_photo(editor, photo, [("1", TO_HAPPY)], crop=True).photo
    chosen = choose_face(editor, photo.pixels, "largest")
    grid = draw_grid(editor, photo, chosen, grid_axis(3))
    sheet = draw_grid(editor, photo, chosen, grid_axis(3), "paper").photo
    assert crop.pixels.shape == (32, 32, 3)
    assert sheet.pixels.shape != grid.photo.pixels.shape
    assert {from_xmp(drawn.xmp).source_type for drawn in (crop, grid.photo, sheet)} == {DRAWN}
    assert "3x3 valence and arousal from -0.75 to 0.75" in from_xmp(grid.photo.xmp).edits
    assert (grid.faces[0].target, grid.faces[0].beyond_support) == (None, False)
    with pytest.raises(UsageError, match="one face"):
        edit_photo(editor, photo, [("all", TO_HAPPY)], crop=True)


def test_an_animation_has_a_frame_for_each_target_and_says_what_it_is(editor, photo):
    timed = timed_path("0.5,0.1 0.2,0.0", 0.2, 10, loop=False)
    chosen = choose_face(editor, photo.pixels, "largest")
    for crop, kind in ((False, COMPOSITE), (True, DRAWN)):
        animation = animate(editor, photo, chosen, timed, crop)
        assert len(list(animation.frames)) == len(animation) == 2
        told = from_xmp(animation.like.xmp)
        assert (told.source_type, told.edits) == (kind, "path 0.5,0.1 0.2,0.0")
        assert animation.like.exif is None


def test_one_face_is_chosen(editor, photo):
    assert choose_face(editor, photo.pixels, 2).number == 2
    with pytest.raises(UsageError, match="not all"):
        choose_face(editor, photo.pixels, "all")
    with pytest.raises(NoFaceError):
        choose_face(editor, photo.pixels, 3)
