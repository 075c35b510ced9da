import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import faceedit
from faceedit.circumplex import EMOTIONS, Affect
from faceedit.editing.backends import FaceEdit
from faceedit.editing.compositing import rows_below
from faceedit.editing.editor import FaceEditor
from faceedit.editing.target import Request
from faceedit.errors import ExistsError, NoFaceError, UnexpectedError, UnreadableError, UsageError
from faceedit.media.image import read_photo
from faceedit.media.provenance import COMPOSITE, from_xmp
from tests.conftest import ASTRONAUT, FakeDetector, draw_face, face_at


class SeenDetector(FakeDetector):
    """Finds the faces that it was told of where an image is not black, and fails where it is white."""

    def detect(self, image, largest=False):
        if image.all():
            raise KeyError("white")
        return super().detect(image, largest) if image.any() else []


@pytest.fixture
def photo():
    """A drawn photo with two faces, and where they are."""
    image = np.full((200, 320, 3), 128, np.uint8)
    image[20:180, 10:170] = draw_face(160)
    image[60:140, 220:300] = draw_face(80, 0.7)
    return image, [face_at(10, 20, 160), face_at(220, 60, 80)]


@pytest.fixture
def editor(tiny_editor, photo):
    tiny_editor.detector = FakeDetector(photo[1])
    return tiny_editor


def covered(image, encoded):
    """Where the crop of a face lies in its photo, and the rows below it, which jaws drop to."""
    size = len(encoded.crop)
    inside = np.ones((size + rows_below(size), size), np.uint8)
    found = cv2.warpAffine(inside, encoded.matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert 0.02 < found.mean() < 0.6
    return found > 0


def test_an_edit_changes_the_chosen_face_and_nothing_else(editor, photo):
    image, faces = photo
    large, small = (covered(image, editor.encode(image, face)) for face in faces)
    for face, changed, kept in ((1, large, small), ("largest", large, small), (2, small, large)):
        edited = editor.edit(image, 0.9, 0.9, face=face).image
        assert edited.shape == image.shape
        assert edited.dtype == np.uint8
        assert (edited[changed] != image[changed]).any()
        assert (edited[~changed] == image[~changed]).all()
        assert (edited[kept] == image[kept]).all()
    both = editor.edit(image, 0.9, 0.9, face="all").image
    assert (both[large] != image[large]).any()
    assert (both[small] != image[small]).any()


def test_editing_to_the_source_affect_changes_nothing(editor, photo):
    image, faces = photo
    encoded = editor.encode(image, faces[0])
    assert (editor.edit_face(image, encoded, encoded.source) == image).all()


def test_the_source_affect_is_the_judges(editor, photo):
    image, faces = photo
    (estimate,) = editor.judge.estimate(image, faces[:1])
    assert editor.encode(image, faces[0]).source == estimate.affect


def test_a_relative_edit_moves_from_the_source(editor, photo):
    image, faces = photo
    source = editor.encode(image, faces[0]).source
    moved = editor.edit(image, 0.3, -0.2, relative=True).image
    assert (moved == editor.edit(image, source.valence + 0.3, source.arousal - 0.2).image).all()
    assert (editor.edit(image, 0, 0, relative=True).image == image).all()
    with pytest.raises(UsageError, match="to move by"):
        editor.edit(image, 2.1, 0, relative=True)


def test_grids_have_the_documented_sizes(editor, photo):
    image, faces = photo
    grid = editor.grid(image, steps=3, extent=0.5).image
    assert grid.shape[0] == grid.shape[1] > 3 * 160
    encoded = editor.encode(image, faces[0])
    sheet = editor.draw_paper_sheet(encoded, np.linspace(-0.75, 0.75, 7))
    assert sheet.shape == (7 * 32, 10 * 32, 3)
    crop = editor.edit_crop(encoded, Affect(0.5, 0.5))
    assert crop.shape == (32, 32, 3)


def test_what_a_jaw_that_rises_reveals_is_the_photos(editor, photo, monkeypatch):
    image, faces = photo
    image = image.copy()
    image[180:] = (200, 0, 0)  # right below the crop
    size = editor.backend.size
    flow, residual = np.zeros((size, size, 2), np.float32), np.zeros((size, size, 3), np.float32)
    flow[size // 2 :, :, 1] = 2
    monkeypatch.setattr(editor.backend, "edits", lambda features, targets: [FaceEdit(flow, residual)])
    (cell,) = editor.crop_edits(image, editor.encode(image, faces[0]), np.zeros((1, 2)), 160)
    assert cell.shape == (160, 160, 3)
    assert (cell[-5:, 80] == (200, 0, 0)).all()


def test_named_emotions_are_places(editor, photo):
    image, _ = photo
    happy = EMOTIONS["happy"]
    assert (editor.edit(image, emotion="happy").image == editor.edit(image, happy.valence, happy.arousal).image).all()
    assert (editor.edit(image, emotion="happy", strength=0).image == image).all()


def test_values_that_make_no_sense_are_refused(editor, photo):
    with pytest.raises(UsageError):
        editor.edit(photo[0], 0.5, 1.2)
    with pytest.raises(UsageError, match="float64"):
        editor.edit(photo[0] / 255, 0.5, 0.2)
    with pytest.raises(UsageError):
        next(editor.edit_many([photo[0]], Request(emotion="happy"), face="smallest"))
    with pytest.raises(UsageError, match="uint8 RGB"):
        editor.detect(photo[0][..., 0])


def test_a_path_a_pil_image_and_an_array_are_edited_alike(editor, photo, tmp_path):
    image, _ = photo
    Image.fromarray(image).save(tmp_path / "a.png")
    wanted = editor.edit(image, 0.3, 0.1).image
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        assert (editor.edit(given, 0.3, 0.1).image == wanted).all()
    clear = editor.edit(np.dstack([image, image[..., 0]]), 0.3, 0.1)
    assert (clear.image == wanted).all()
    assert (np.asarray(clear.pil()) == np.dstack([wanted, image[..., 0]])).all()


def test_a_result_tells_of_its_faces_and_is_saved_with_what_the_command_keeps(editor, photo, tmp_path):
    given = Image.fromarray(photo[0])
    given.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    given.getexif()[0x010F] = "Maker"
    result = editor.edit(given, -0.9, 0.0, face="all")
    assert [face.number for face in result.faces] == [1, 2]
    assert result.faces[0].box == (10, 20, 170, 180)
    assert result.faces[0].source == editor.estimate(photo[0])[0].affect
    assert result.faces[0].target == Affect(-0.9, 0)
    assert result.faces[0].beyond_support
    assert [face.reached for face in result.faces] == [face.affect for face in editor.estimate(result.image)]
    result.save(tmp_path / "a.jpg")
    with pytest.raises(ExistsError):
        result.save(tmp_path / "a.jpg")
    result.save(tmp_path / "a.jpg", overwrite=True)
    saved = read_photo(tmp_path / "a.jpg")
    assert saved.icc == given.info["icc_profile"]
    assert from_xmp(saved.xmp).source_type == COMPOSITE
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.getexif()[0x010F] == "Maker"


def test_many_are_edited_as_each_alone_and_errors_stand_in_their_places(editor, photo, tmp_path, one_thread):
    image, faces = photo
    editor.detector = SeenDetector(faces)
    request = Request(0.3, 0.1)
    image[0, 0] = 0
    black, white = (np.full((64, 64, 3), value, np.uint8) for value in (0, 255))
    given = [image, tmp_path / "none.jpg", black, white, image[:, ::-1], *[image] * 5]
    results = list(editor.edit_many(iter(given), request))
    assert [type(result) for result in results[1:4]] == [UnreadableError, NoFaceError, UnexpectedError]
    assert "image 4 could not be edited: KeyError" in str(results[3])
    for index in (0, 4, 9):
        assert (results[index].image == editor.edit(given[index], 0.3, 0.1).image).all()


def test_threads_share_an_editor(editor, photo, one_thread):
    """Each edits an image of its own to a target of its own, many times at once, as one thread does after another."""
    image, _ = photo
    jobs = [(np.roll(image, shift, 2), shift / 10, shift / 20) for shift in range(3)] * 4
    alone = [editor.edit(*job).image for job in jobs]
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        together = list(pool.map(lambda job: editor.edit(*job), jobs))
    for one, other in zip(alone, together, strict=True):
        assert (one == other.image).all()


def test_the_package_offers_the_editor_and_what_it_takes_and_gives():
    assert faceedit.FaceEditor is FaceEditor
    assert all(getattr(faceedit, name).__name__ == name for name in faceedit.__all__)
    assert list(inspect.signature(FaceEditor.edit).parameters)[1:4] == ["image", "valence", "arousal"]
    for name in ("edit", "edit_many", "edit_video", "grid", "animate", "estimate"):
        method = getattr(FaceEditor, name)
        kinds = {parameter.kind for parameter in inspect.signature(method).parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


def test_a_photo_is_edited_without_modules_that_it_does_not_need():
    """They take longer to import than the photo to edit: codecs of films, and what some functions of NumPy import."""
    code = "from faceedit import FaceEditor; FaceEditor.from_pretrained(device='cpu').edit(sys.argv[1], 0, 0)"
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)", ASTRONAUT]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "faceedit.editing.mouth" in loaded
    assert not {"av", "numpy.ma", "numpy.polynomial", "scipy", "torch._dynamo", "torchvision"} & loaded
