"""The perceptual loss, and the face networks whose activations it can compare."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from faceedit.errors import UnreadableError, UsageError, WeightsError
from faceedit.faces.identity import STATE_SUFFIXES, load_facenet, load_mobilefacenet, realigned
from faceedit.models.embedder import MobileFaceNet
from faceedit.training.losses import total

VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)  # RGB, of 255
VGG_FACE_SIZE = 224
VGG_FACE_BLOCKS = (2, 2, 3, 3, 3)  # convolutions in each block, with a pooling between blocks
VGG_FACE_COMPARED = ("conv1_2", "conv2_2", "conv3_2", "conv4_2", "conv5_2")
FACENET_STAGES = (
    ("conv2d_1a", "conv2d_2a", "conv2d_2b"),
    ("maxpool_3a", "conv2d_3b", "conv2d_4a"),
    ("conv2d_4b", "repeat_1"),
    ("mixed_6a", "repeat_2"),
)  # InceptionResnetV1's layers from the input on


class PerceptualLoss(nn.Module):
    """L1 distance between the activations of a frozen face network for two batches of crops; a scalar."""

    def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of crops (N, 3, S, S) that are compared."""
        raise NotImplementedError

    def forward(self, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = self.activations(images)
        return self.distance(wanted, self.activations(others))

    def distance(self, wanted: list[torch.Tensor], got: list[torch.Tensor]) -> torch.Tensor:
        """The mean over layers of the distance relative to the activations' size, each weighted by 1 / (H · W).

        As in the paper, this makes the deepest layers count most: weighted alike, the first ones have the generator
        draw a fine raster, which gives them larger activations than the smooth faces that it can draw.
        """
        weights = [1 / (a.shape[2] * a.shape[3]) for a in wanted]
        relative = [(b - a).abs().mean() / a.abs().mean().clamp_min(1e-6) for a, b in zip(wanted, got, strict=True)]
        return total(w * r for w, r in zip(weights, relative, strict=True)) / sum(weights)


class VggFaceLoss(PerceptualLoss):
    """The paper's: VGG-Face from MatConvNet's `vgg-face.mat`, each layer's distance divided by its area."""

    mean: torch.Tensor

    def __init__(self, filters: dict[str, tuple[torch.Tensor, torch.Tensor]]):
        super().__init__()
        self.convs = nn.ModuleDict()
        for name, (weight, bias) in filters.items():
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
            self.convs[name] = conv
        self.register_buffer("mean", torch.tensor(VGG_FACE_MEAN).view(1, 3, 1, 1))

    def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = functional.interpolate(images, (VGG_FACE_SIZE, VGG_FACE_SIZE), mode="bilinear", align_corners=False)
        x = (x + 1) * 127.5 - self.mean
        kept = []
        for block, convs in enumerate(VGG_FACE_BLOCKS, 1):
            for i in range(1, convs + 1):
                name = f"conv{block}_{i}"
                x = self.convs[name](x)
                if name in VGG_FACE_COMPARED:
                    kept.append(x)
                if name == VGG_FACE_COMPARED[-1]:
                    return kept
                x = torch.relu(x)
            x = functional.max_pool2d(x, 2)
        return kept

    def distance(self, wanted: list[torch.Tensor], got: list[torch.Tensor]) -> torch.Tensor:
        return total((b - a).abs().mean() / (a.shape[2] * a.shape[3]) for a, b in zip(wanted, got, strict=True))


class MobileFaceNetLoss(PerceptualLoss):
    """The activations of a MobileFaceNet at four sizes."""

    def __init__(self, network: MobileFaceNet):
        super().__init__()
        self.network = network

    def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.network.activations(realigned(images))


class FacenetLoss(PerceptualLoss):
    """The activations of facenet-pytorch's InceptionResnetV1 trained on VGGFace2, which it downloads on first use."""

    size = 160

    def __init__(self) -> None:
        super().__init__()
        network = load_facenet()
        self.stages = nn.ModuleList(nn.Sequential(*map(network.get_submodule, names)) for names in FACENET_STAGES)

    def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = functional.interpolate(images, (self.size, self.size), mode="bilinear", align_corners=False)
        kept = []
        for stage in self.stages:
            x = stage(x)
            kept.append(x)
        return kept


def perceptual_loss(name: str) -> PerceptualLoss | None:
    """The perceptual loss by name: "off" (None), "facenet", or a path to `vgg-face.mat` or a MobileFaceNet state dict.

    Raises UsageError for another name, UnreadableError and WeightsError for a file that cannot be used.
    """
    if name == "off":
        return None
    if name == "facenet":
        loss: PerceptualLoss = FacenetLoss()
    elif Path(name).suffix == ".mat":
        loss = VggFaceLoss(_read_vgg_face(Path(name)))
    elif Path(name).suffix in STATE_SUFFIXES:
        loss = MobileFaceNetLoss(load_mobilefacenet(Path(name)))
    else:
        raise UsageError(
            f"the perceptual loss must be facenet, off, or the path of a .mat, .safetensors or .pt file, not {name}"
        )
    return loss.requires_grad_(False)


def _read_vgg_face(path: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Filters and biases by layer name from MatConvNet's file: a cell `layers` of structs with `name` and `weights`.

    Filters are stored (height, width, in, out).
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise UsageError("reading a .mat file needs scipy: pip install 'faceedit[train]'") from error
    wanted = [f"conv{b}_{i}" for b, n in enumerate(VGG_FACE_BLOCKS, 1) for i in range(1, n + 1)]
    wanted = wanted[: wanted.index(VGG_FACE_COMPARED[-1]) + 1]
    found = {}
    try:
        for layer in loadmat(path, squeeze_me=True, struct_as_record=False)["layers"]:
            if layer.name in wanted:
                weight, bias = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
                weight = torch.from_numpy(weight.astype("float32")).permute(3, 2, 0, 1).contiguous()
                found[layer.name] = (weight, torch.from_numpy(bias.astype("float32")).flatten())
    except Exception as error:
        raise UnreadableError(f"cannot read {path} as a MatConvNet network: {error}") from error
    if missing := [name for name in wanted if name not in found]:
        raise WeightsError(f"{path} has no layer {missing[0]}: it is not vgg-face.mat")
    return found
