import numpy as np
import pytest

from faceedit.editing.parts import PARTS, part_mask
from faceedit.editing.photo import edit_photo
from faceedit.editing.target import Request
from faceedit.errors import UsageError
from faceedit.media.image import read_photo
from faceedit.models.editor import WarpEditor
from tests.conftest import ASTRONAUT


@pytest.fixture(scope="module")
def edits():
    """The example photo, and its face surprised as a whole and in parts."""
    from faceedit.editing.editor import FaceEditor

    editor, photo = FaceEditor.from_pretrained(device="cpu"), read_photo(ASTRONAUT)
    assert isinstance(editor.backend.model, WarpEditor)

    def edited(*only):
        return edit_photo(editor, photo, [("largest", Request(emotion="surprised", only=only))]).image

    return {"before": photo.pixels, (): edited()} | {part: edited(part) for part in PARTS}


def rows_changed(before, after):
    return np.flatnonzero((before != after).any((1, 2)))


def test_a_part_is_edited_and_the_rest_stays_to_the_byte(edits):
    before = edits["before"].astype(int)
    eyes, brows, mouth = (rows_changed(before, edits[part]) for part in PARTS)
    assert brows.min() < eyes.min() < brows.max() < eyes.max() < mouth.min()
    whole = np.abs(edits[()] - before).sum()
    for part in PARTS:
        assert 0.01 < np.abs(edits[part] - before).sum() / whole < 0.95, part


def test_in_its_middle_a_part_looks_as_in_the_whole_edit(edits):
    teeth = (slice(145, 158), slice(212, 235))
    assert np.abs(edits["mouth"][teeth].astype(int) - edits[()][teeth]).mean() < 2
    assert np.abs(edits["before"][teeth].astype(int) - edits[()][teeth]).mean() > 10


@pytest.mark.parametrize("part", PARTS)
def test_an_edge_is_smooth(part):
    from faceedit.models.face_mesh import POINTS

    angles = np.linspace(0, 6, len(POINTS))
    landmarks = 0.5 + 0.1 * np.column_stack([np.cos(angles), np.sin(angles)])
    mask = part_mask(landmarks, (part,), 384)
    assert mask.dtype == np.float32
    assert (mask.min(), mask.max()) == (0, 1)
    steps = max(np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.1
    assert (mask[0] == 0).all()


def test_an_unknown_part_is_refused():
    with pytest.raises(UsageError, match="eyes, brows or mouth, not nose"):
        Request(emotion="happy", only=("nose",))
