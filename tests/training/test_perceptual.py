import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat

from faceedit.errors import UnreadableError, UsageError, WeightsError
from faceedit.models.embedder import MobileFaceNet
from faceedit.training.perceptual import VGG_FACE_BLOCKS, perceptual_loss


def write_vgg_face(path, width=4, without=None):
    """A network of MatConvNet's file structure with few channels."""
    rng = np.random.default_rng(0)
    layers, fan_in = [], 3
    for block, convs in enumerate(VGG_FACE_BLOCKS, 1):
        for i in range(1, convs + 1):
            weights = np.empty(2, object)
            weights[0] = rng.normal(0, 0.2, (3, 3, fan_in, width)).astype(np.float32)
            weights[1] = np.zeros((width, 1), np.float32)
            layers.append({"name": f"conv{block}_{i}", "type": "conv", "weights": weights})
            layers.append({"name": f"relu{block}_{i}", "type": "relu"})
            fan_in = width
    cells = np.empty((1, len(layers)), object)
    for i, layer in enumerate(layers):
        cells[0, i] = layer if layer["name"] != without else {"name": "other", "type": "relu"}
    savemat(path, {"layers": cells})
    return str(path)


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 32) * 2 - 1


def test_vgg_face_is_read_and_compared_layer_by_layer(tmp_path, images):
    loss = perceptual_loss(write_vgg_face(tmp_path / "vgg-face.mat"))
    sizes = [tuple(x.shape[1:]) for x in loss.activations(images)]
    assert sizes == [(4, 224, 224), (4, 112, 112), (4, 56, 56), (4, 28, 28), (4, 14, 14)]
    assert loss(images, images) == 0
    assert 0 < loss(images, images * 0.9) < loss(images, images * 0.5)
    manual = sum(
        (a - b).abs().mean() / a[0, 0].numel()
        for a, b in zip(loss.activations(images), loss.activations(-images), strict=True)
    )
    torch.testing.assert_close(loss(images, -images), manual)


def test_mobilefacenet_is_read_strictly(tmp_path, images):
    state = {name: tensor for name, tensor in MobileFaceNet().state_dict().items() if "num_batches" not in name}
    save_file(state, tmp_path / "net.safetensors")
    loss = perceptual_loss(str(tmp_path / "net.safetensors"))
    assert loss(images, images) == 0
    changed = images.clone().requires_grad_()
    loss(images, changed * 0.9).backward()
    assert changed.grad.abs().sum() > 0
    state.pop("bn.weight")
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=r"bn\.weight"):
        perceptual_loss(str(tmp_path / "net.pt"))


def test_files_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "vgg-face.mat").write_bytes(b"junk")
    with pytest.raises(UnreadableError, match=r"vgg-face\.mat"):
        perceptual_loss(str(tmp_path / "vgg-face.mat"))
    for layers in (3, np.zeros(3)):
        savemat(tmp_path / "vgg-face.mat", {"layers": layers})
        with pytest.raises(UnreadableError, match=r"vgg-face\.mat"):
            perceptual_loss(str(tmp_path / "vgg-face.mat"))
    with pytest.raises(WeightsError, match="no layer conv3_2"):
        perceptual_loss(write_vgg_face(tmp_path / "other.mat", without="conv3_2"))
    with pytest.raises(UnreadableError):
        perceptual_loss(str(tmp_path / "none.safetensors"))
    with pytest.raises(UsageError, match="the perceptual loss"):
        perceptual_loss("vgg")


def test_it_can_be_switched_off():
    assert perceptual_loss("off") is None
