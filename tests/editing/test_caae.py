import numpy as np
import pytest
import torch

from faceedit.editing.editor import FaceEditor
from faceedit.media.image import read_photo
from faceedit.models.lips import lip_opening
from tests.conftest import ASTRONAUT


@pytest.fixture(scope="module")
def editor():
    return FaceEditor.from_pretrained("caae-96", "cpu")


def test_a_photo_goes_where_the_drawings_of_the_papers_network_go(editor):
    image = read_photo(ASTRONAUT).pixels
    face = editor.detect(image)[0]
    encoded = editor.encode(image, face)
    (edited,) = editor.edits(image, encoded, np.array([(-0.6, 0.2)]))
    assert editor.judge.estimate(edited, [face])[0].affect.valence < encoded.source.valence - 0.5
    (edit,) = editor.face_edits(encoded, np.array([(-0.6, 0.2)]))
    assert lip_opening(torch.from_numpy(edit.mouth.landmarks)[None]) < 0.5 * lip_opening(
        torch.from_numpy(encoded.landmarks)[None]
    )
    assert np.ptp(edit.residual, axis=2).max() < 1e-6  # its light alone
