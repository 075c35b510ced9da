import cv2
import numpy as np
import pytest
import torch

from faceedit.circumplex import Affect
from faceedit.editing.backends import WarpBackend
from faceedit.editing.compositing import FINER
from faceedit.editing.editor import FaceEditor
from faceedit.kinds import KINDS, class_at
from faceedit.media.image import read_photo
from faceedit.models.caae import Caae
from faceedit.models.face_mesh import IRISES, POINTS, point_indices
from faceedit.models.landmarker import mirrored
from faceedit.models.mouth.inpainter import LATENTS, MOUTH_KINDS
from faceedit.weights import build
from tests.conftest import ASTRONAUT, TINY, TINY_WARP, draw_face

LANDMARKS = np.random.default_rng(1).uniform(0, 1, (len(POINTS), 2))
TARGETS = np.random.default_rng(0).uniform(-1, 1, (20, 2))


@pytest.fixture(params=["caae", "warp"])
def backend(request):
    torch.manual_seed(0)
    config = {"caae": TINY, "warp": TINY_WARP}[request.param]
    return class_at(KINDS[request.param].backend)(build(config).eval(), "cpu")


@pytest.mark.parametrize(("weights", "side"), [("caae-96", 24), ("warp-96", 384)])
def test_decoding_in_batches_is_decoding_one_by_one(weights, side):
    editor, image = FaceEditor.from_pretrained(weights, "cpu"), read_photo(ASTRONAUT).pixels
    backend, features = editor.backend, editor.encode(image, editor.detect(image)[0]).features
    targets = np.random.default_rng(0).uniform(-0.6, 0.6, (18, 2))
    together = list(backend.edits(features, targets))
    assert len(together) == 18
    for target, edit, other in zip(targets, together, [*together[1:], together[0]], strict=True):
        (same,) = backend.edits(features, target[None])
        assert edit.flow.shape == (96, 96, 2)
        assert edit.residual.shape == (side, side, 3)
        assert edit.mouth.mask.shape == (96, 160)
        for field, same_field in zip(vars(edit.mouth).values(), vars(same.mouth).values(), strict=True):
            np.testing.assert_allclose(field, same_field, atol=2e-2)
        np.testing.assert_allclose(same.flow, edit.flow, atol=2e-2)
        np.testing.assert_allclose(same.residual, edit.residual, atol=2e-3)
        assert np.abs(other.flow - edit.flow).max() > 2e-2  # of another target
        assert np.abs(other.residual - edit.residual).max() > 2e-3


def test_where_memory_is_full_batches_are_halved_down_to_one(backend):
    features = backend.encode(draw_face(32), draw_face(32 * FINER), Affect(0.1, 0.2), LANDMARKS)
    whole = list(backend.edits(features, TARGETS))
    tried, room = [], 0

    def full(module, inputs):
        tried.append(len(inputs[-1]))
        if tried[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    decoder = backend.model.generator if isinstance(backend.model, Caae) else backend.model.decoder
    decoder.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        list(backend.edits(features, TARGETS))
    for room, sizes in ((5, [16, 8, 4, 4, 4, 4, 4]), (1, [16, 8, 4, 2] + [1] * 20)):  # noqa: B007 - read in `full`
        tried.clear()
        for pair, same in zip(backend.edits(features, TARGETS), whole, strict=True):
            for field, same_field in zip(pair[:2], same[:2], strict=True):
                np.testing.assert_allclose(field, same_field, atol=2e-2)
        assert tried == sizes


def test_the_edit_of_a_mirrored_face_is_the_edit_mirrored():
    """Nothing pulls at one side because it is the left one."""
    editor, image = FaceEditor.from_pretrained("warp-96", "cpu"), read_photo(ASTRONAUT).pixels
    encoded = editor.encode(image, editor.detect(image)[0])
    backend = editor.backend
    fine = cv2.resize(encoded.crop, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_CUBIC)
    other = mirrored(torch.from_numpy(encoded.landmarks[None]).float())[0].numpy()
    target = Affect(-0.5, 0.4).row[None]
    (edit,), (turned,) = (
        backend.edits(backend.encode(*photo, encoded.source, landmarks), target)
        for *photo, landmarks in (
            (encoded.crop, fine, encoded.landmarks),
            (*(np.ascontiguousarray(x[:, ::-1]) for x in (encoded.crop, fine)), other),
        )
    )
    assert np.abs(edit.flow).max() > 2
    apart = np.abs(turned.flow[:, ::-1] * np.float32([-1, 1]) - edit.flow)
    assert np.quantile(apart, 0.98) < 0.05
    assert apart.max() < 0.5


def test_beside_folds_an_edit_adds_light_without_colour_and_none_to_irises(monkeypatch):
    editor, image = FaceEditor.from_pretrained("warp-96", "cpu"), read_photo(ASTRONAUT).pixels
    features = editor.encode(image, editor.detect(image)[0]).features
    monkeypatch.setattr(editor.backend.folding, "shading", lambda *_: torch.zeros(1, 3, 384, 384))
    (edit,) = editor.backend.edits(features, Affect(-0.5, 0.4).row[None])
    assert np.abs(edit.residual).max() > 0.02
    np.testing.assert_allclose(edit.residual, edit.residual[..., :1].repeat(3, axis=2), atol=1e-6)
    for iris in np.rint(384 * edit.mouth.landmarks[point_indices(IRISES)] - 0.5).astype(int):
        around = edit.residual[iris[1] - 2 : iris[1] + 3, iris[0] - 2 : iris[0] + 3]
        assert np.abs(around).max() < 0.003


def test_an_edit_to_the_source_is_nothing(backend):
    source = Affect(0.1, 0.2)
    features = backend.encode(draw_face(32), draw_face(32 * FINER), source, LANDMARKS)
    ((flow, residual, mouth),) = backend.edits(features, np.array([(source.valence, source.arousal)]))
    assert not flow.any()
    assert not residual.any()
    assert not mouth.mask.any()


def test_drawings_are_crops_where_networks_draw_faces(backend):
    features = backend.encode(draw_face(32), draw_face(32 * FINER), Affect(0.1, 0.2), LANDMARKS)
    drawings = backend.drawings(features, TARGETS)
    if isinstance(backend, WarpBackend):
        assert drawings is None
        return
    assert drawings.shape == (20, 32, 32, 3)
    assert drawings.dtype == np.uint8


def test_a_face_that_is_nearly_the_same_has_nearly_the_same_teeth():
    """Whatever the processor's rounding, and after a photo was saved again."""
    torch.manual_seed(0)
    backend = WarpBackend(build(TINY_WARP).eval(), "cpu")
    face = draw_face(32)
    noisy = (face.astype(int) + np.random.default_rng(0).integers(-1, 2, face.shape)).clip(0, 255).astype(np.uint8)
    codes = []
    for crop in (face, noisy, draw_face(32, -1.0, 60)):
        features = backend.encode(crop, draw_face(32 * FINER), Affect(0.1, 0.2), LANDMARKS)
        codes.append(next(backend.edits(features, TARGETS[:1])).mouth.choice)
    same, other = (np.abs(codes[0] - codes[i]).max() for i in (1, 2))
    assert codes[0].shape == (MOUTH_KINDS, LATENTS)
    assert same < 0.3 * other
