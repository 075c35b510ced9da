import numpy as np
import pytest

from faceedit.circumplex import Affect
from faceedit.editing.like import Look, look_of, openness, target_like
from faceedit.editing.photo import edit_photo
from faceedit.editing.target import Request
from faceedit.errors import NoFaceError, UsageError
from faceedit.media.image import Photo, read_photo
from tests.conftest import ASTRONAUT, FakeDetector, draw_face, face_at


@pytest.fixture(scope="module")
def editor():
    from faceedit.editing.editor import FaceEditor

    return FaceEditor.from_pretrained(device="cpu")


def test_a_look_is_found_in_a_photo(editor):
    photo = read_photo(ASTRONAUT)
    look = look_of(photo)
    assert look.affect.valence > 0.5
    assert 0.08 < look.openness[0] < 0.2  # she smiles with her teeth
    neutral = edit_photo(editor, photo, [("largest", Request(emotion="neutral"))]).photo
    assert look_of(neutral).openness[0] < look.openness[0] - 0.05
    with pytest.raises(NoFaceError, match="upright"):
        look_of(Photo(np.full((200, 200, 3), 90, np.uint8)))


def test_the_mouth_opens_as_far_as_the_other_does(editor):
    photo = read_photo(ASTRONAUT)
    (face,) = editor.detect(photo.pixels, True)
    encoded = editor.encode(photo.pixels, face)

    def opened(target):
        (edit,) = editor.face_edits(encoded, np.array([target.pair]))
        return openness(edit.mouth.landmarks)[0]

    affect = Affect(0.4, 0.1)
    targets = [target_like(editor, encoded, Look(affect, (mouth, 0.13))) for mouth in (0.0, 0.3)]
    assert opened(targets[0]) + 0.02 < opened(affect) < opened(targets[1]) - 0.02
    assert all(np.hypot(*np.subtract(target.pair, affect.pair)) < 0.31 for target in targets)


def test_parts_without_the_mouth_go_to_the_affect(tiny_editor):
    tiny_editor.detector = FakeDetector([face_at(0, 0, 48)])
    look = Look(Affect(0.3, 0.2), (0.2, 0.1))
    photo = Photo(draw_face(48))
    only = ("brows",)
    (face,) = edit_photo(tiny_editor, photo, [("largest", Request(like=look, only=only))]).faces
    assert face.target == look.affect
    (half,) = edit_photo(tiny_editor, photo, [("largest", Request(like=look, only=only, strength=0.5))]).faces
    assert half.target.valence == pytest.approx((face.source.valence + 0.3) / 2)
    with pytest.raises(UsageError, match="not with both"):
        Request(emotion="happy", like=look)
