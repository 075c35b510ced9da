import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceedit.errors import UnreadableError, UsageError, WeightsError
from faceedit.faces.identity import TO_CROP, FaceEmbedder, realigned
from faceedit.models.embedder import LANDMARKS, SIZE, MobileFaceNet
from tests.conftest import draw_face, face_at


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    state = {name: tensor for name, tensor in MobileFaceNet().state_dict().items() if "num_batches" not in name}
    save_file(state, path)
    return path


def test_a_face_is_embedded_in_every_version_of_its_photo(path):
    embedder = FaceEmbedder(str(path))
    photo = np.full((200, 200, 3), 120, np.uint8)
    photo[20:180, 20:180] = draw_face(160)
    other = 255 - photo
    vectors = embedder.embed([photo, photo, other], face_at(20, 20, 160))
    assert vectors.shape == (3, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert torch.allclose(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-6)  # untrained, it hardly tells them apart


def test_crops_are_realigned_to_the_networks_landmarks():
    """A dot at each of the network's landmarks, seen in the crop, comes to its place."""
    for x, y in LANDMARKS:
        place = TO_CROP @ (x * 2 / SIZE - 1, y * 2 / SIZE - 1, 1)  # from -1 to 1 across the crop
        column, row = ((place + 1) * 64 - 0.5).round().astype(int)
        crop = torch.zeros(1, 1, 128, 128)
        crop[:, :, row - 1 : row + 2, column - 1 : column + 2] = 1
        found = realigned(crop)[0, 0].flatten().argmax().item()
        assert abs(found % SIZE - x) < 1.6
        assert abs(found // SIZE - y) < 1.6


def test_weights_that_cannot_be_used_are_refused(path, tmp_path):
    with pytest.raises(UsageError, match="an embedder must be"):
        FaceEmbedder("arcface")
    with pytest.raises(UnreadableError, match=r"none\.pt"):
        FaceEmbedder(str(tmp_path / "none.pt"))
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        FaceEmbedder(str(tmp_path / "other.safetensors"))
