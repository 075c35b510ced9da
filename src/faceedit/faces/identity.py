"""Whether two photos show the same person: face embedders, loaded strictly, and the crops that each expects."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceedit.device import as_images, in_batches
from faceedit.errors import UnreadableError, UsageError, WeightsError
from faceedit.faces.alignment import TEMPLATE, crop_face, similarity
from faceedit.faces.detector import Face
from faceedit.models.embedder import LANDMARKS, SIZE, MobileFaceNet
from faceedit.models.sampling import constant

STATE_SUFFIXES = (".safetensors", ".pt", ".pth")
FACENET_SIZE = 160
# From MobileFaceNet's alignment to the crop's, both from -1 to 1 across their image.
TO_CROP = similarity(np.array(LANDMARKS) * (2 / SIZE) - 1, TEMPLATE * 2 - 1)
BATCH = 64


class FaceEmbedder:
    """Embeds faces of photos with facenet-pytorch's InceptionResnetV1 or a MobileFaceNet.

    name: "facenet", whose weights facenet-pytorch downloads on first use, or the path of MobileFaceNet weights. Raises
    UsageError for another name, WeightsError and UnreadableError for weights that cannot be had.
    """

    def __init__(self, name: str, device: str = "cpu"):
        self.device = device
        self.is_facenet = name == "facenet"
        if not self.is_facenet and Path(name).suffix not in STATE_SUFFIXES:
            raise UsageError(f"an embedder must be facenet, or the path of MobileFaceNet weights, not {name}")
        self.network = (load_facenet() if self.is_facenet else load_mobilefacenet(Path(name))).to(device)

    def embed(self, images: list[np.ndarray], face: Face) -> torch.Tensor:
        """Unit vectors (N, D) on the CPU of one face in several versions (H, W, 3) uint8 of its photo.

        The inner product of two is their cosine.
        """
        crops = np.stack([self._crop(image, face) for image in images])

        def vectors(batch: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(self.network(as_images(batch, self.device)).float()).cpu()

        return torch.cat(list(in_batches(vectors, torch.from_numpy(crops), BATCH)))

    def _crop(self, image: np.ndarray, face: Face) -> np.ndarray:
        if self.is_facenet:  # trained on the detector's boxes, stretched to a square
            box = face.box.reshape(2, 2)
            scale = FACENET_SIZE / np.maximum(box[1] - box[0], 1)
            return crop_face(image, np.column_stack([np.diag(scale), -box[0] * scale]), FACENET_SIZE)
        return crop_face(image, similarity(face.landmarks, np.array(LANDMARKS)), SIZE)


def load_facenet() -> nn.Module:
    """InceptionResnetV1 trained on VGGFace2, frozen. Raises WeightsError when it cannot be downloaded."""
    from facenet_pytorch import InceptionResnetV1

    try:
        return InceptionResnetV1(pretrained="vggface2").eval().requires_grad_(False)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"facenet-pytorch could not get the weights of its InceptionResnetV1 ({error}); name other weights, or off"
        ) from error


def load_mobilefacenet(path: Path) -> MobileFaceNet:
    """A frozen MobileFaceNet from a state dict, safetensors or PyTorch's. Raises UnreadableError, WeightsError."""
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise many kinds
        raise UnreadableError(f"cannot read weights from {path}: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise WeightsError(f"{path} is not a state dict")
    network = MobileFaceNet()
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not hold a MobileFaceNet's weights: {error}") from error
    odd = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if odd:
        raise WeightsError(f"{path} does not hold a MobileFaceNet's weights: {odd[0]} does not fit")
    return network.eval().requires_grad_(False)


def realigned(crops: torch.Tensor) -> torch.Tensor:
    """The editor's crops (N, 3, S, S) moved to MobileFaceNet's alignment, (N, 3, 112, 112).

    What the tighter crops do not show, mostly forehead, repeats their border: good enough to compare activations.
    """
    theta = constant(tuple(map(tuple, TO_CROP.tolist())), crops.device).to(crops.dtype).expand(len(crops), -1, -1)
    grid = functional.affine_grid(theta, [len(crops), 3, SIZE, SIZE], align_corners=False)
    return functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
