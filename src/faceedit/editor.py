"""FaceEditor: photo → faces → latent → edit → photo. A face is encoded once and decoded for any number of targets."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from faceedit.circumplex import Affect, affect_grid, grid_axis
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.device import resolve_device
from faceedit.errors import NoFaceError, UsageError
from faceedit.face import Face, FaceDetector, alignment, apply_edit, crop_face, feather_mask
from faceedit.sheet import circumplex_grid, paper_sheet
from faceedit.weights import Weights, load_weights

DECODE_BATCH = 16
GRID_CELL = 160  # pixels
SMOOTHING = 0.01  # standard deviation of a blur, of the crop's side
FLOW_SMOOTHING = 0.03  # likewise
FLOW_SCALE = 2  # the decodes are enlarged before their flow is sought: the method's finest patches are 8 pixels


@dataclass(frozen=True)
class EncodedFace:
    """A face of a photo, ready to be decoded.

    matrix: (2, 3), photo pixels to crop pixels. crop: (S, S, 3) uint8. z: (1, z_dim). source: the affect that the face
    shows. decoded_source: (S, S, 3) float32 in [0, 1], what the networks make of the face at its own affect.
    """

    matrix: np.ndarray
    crop: np.ndarray
    z: torch.Tensor
    source: Affect
    decoded_source: np.ndarray


class FaceEditor:
    """Edits the expression of faces in photos.

    Images are (H, W, 3) uint8 RGB. Raises UsageError for values out of their range, NoFaceError where there is no face.
    """

    def __init__(self, weights: Weights, device: str = "cpu"):
        self.weights = weights
        self.model = weights.model
        self.support = weights.support
        self.device = device
        self.crop_size = weights.model.config.image_size

    @classmethod
    def from_pretrained(cls, weights: str = DEFAULT_WEIGHTS, device: str = "auto") -> "FaceEditor":
        """An editor with published weights by name or path, on auto, cpu, cuda or mps. Raises WeightsError."""
        device = resolve_device(device)
        return cls(load_weights(weights, device), device)

    @cached_property
    def detector(self) -> FaceDetector:
        """What finds the faces."""
        # MTCNN calls operations that MPS lacks, and is no faster there.
        return FaceDetector("cuda" if self.device == "cuda" else "cpu")

    def detect(self, image: np.ndarray) -> list[Face]:
        """The faces of an image, the largest first."""
        return self.detector.detect(_checked(image))

    def edit(self, image: np.ndarray, valence: float, arousal: float, face: str | int = "largest") -> np.ndarray:
        """The image with the chosen faces at this valence and arousal, each in [-1, 1].

        face: "largest", "all", or a number from 1, counted from the largest. Pixels outside the faces stay as they are.
        """
        target = Affect(valence, arousal)
        for chosen in select_faces(self.detect(image), face):
            image = self.edit_face(image, self.encode(image, chosen), target)
        return image

    def grid(self, image: np.ndarray, steps: int = 7, extent: float = 0.75, face: str | int = "largest") -> np.ndarray:
        """An image of one face edited over the plane: a labelled grid, valence left to right, arousal bottom to top."""
        axis = grid_axis(steps, extent)
        encoded = self.encode(image, *select_faces(self.detect(image), face)[:1])
        return self.draw_grid(image, encoded, axis)

    def encode(self, image: np.ndarray, face: Face) -> EncodedFace:
        """Align a face and bring it into the latent space."""
        matrix = alignment(face.landmarks, self.crop_size)
        crop = crop_face(_checked(image), matrix, self.crop_size)
        images = torch.from_numpy(crop).permute(2, 0, 1)[None].to(self.device).float() / 127.5 - 1
        with torch.inference_mode():
            z = self.model.encoder(images)
        source, decoded = self._best_reconstruction(z, crop)
        return EncodedFace(matrix, crop, z, source, decoded)

    def decode(self, z: torch.Tensor, affect: np.ndarray) -> np.ndarray:
        """What the networks draw for z (1, z_dim) at each affect (N, 2): crops (N, S, S, 3) float32 in [0, 1]."""
        batches = []
        with torch.inference_mode():
            for targets in torch.from_numpy(np.asarray(affect, np.float32)).split(DECODE_BATCH):
                images = self.model.generator(z.expand(len(targets), -1), targets.to(self.device))
                batches.append(((images + 1) / 2).permute(0, 2, 3, 1).float().cpu().numpy())
        return np.concatenate(batches)

    def edit_face(self, image: np.ndarray, encoded: EncodedFace, target: Affect) -> np.ndarray:
        """The image with one encoded face of it moved to the target."""
        return next(self.edits(image, encoded, [(target.valence, target.arousal)]))

    def edits(self, image: np.ndarray, encoded: EncodedFace, targets: np.ndarray) -> Iterator[np.ndarray]:
        """The image with one encoded face of it moved to each target (N, 2) in turn."""
        return self._edits(image, encoded, encoded.matrix, targets)

    def source(self, encoded: EncodedFace) -> Affect:
        """The affect that an encoded face shows."""
        return encoded.source

    def _edits(self, image, encoded, matrix, targets) -> Iterator[np.ndarray]:
        for decoded in self.decode(encoded.z, targets):
            yield apply_edit(image, matrix, *difference(encoded.decoded_source, decoded))

    def edit_crop(self, encoded: EncodedFace, target: Affect) -> np.ndarray:
        """The networks' own drawing of the face at the target, (S, S, 3) uint8, as in the paper."""
        return _to_uint8(self.decode(encoded.z, [(target.valence, target.arousal)])[0])

    def draw_grid(self, image: np.ndarray, encoded: EncodedFace, axis: np.ndarray) -> np.ndarray:
        """The labelled grid of one encoded face; cells without training labels near them are marked."""
        targets = affect_grid(axis)
        scale = GRID_CELL / self.crop_size
        to_cell = encoded.matrix * scale
        to_cell[:, 2] += (scale - 1) / 2  # pixel centres lie at whole numbers
        cell = crop_face(image, to_cell, GRID_CELL)
        from_cell = np.array([[1, 0, 0.5], [0, 1, 0.5]]) / scale - ((0, 0, 0.5), (0, 0, 0.5))
        cells = np.stack(list(self._edits(cell, encoded, from_cell, targets)))
        unsupported = np.array([not self.support.covers(*target) for target in targets.tolist()])
        source = (encoded.source.valence, encoded.source.arousal)
        shape = (len(axis), len(axis))
        return circumplex_grid(cells.reshape(*shape, *cell.shape), axis, source, unsupported.reshape(shape))

    def draw_paper_sheet(self, encoded: EncodedFace, axis: np.ndarray) -> np.ndarray:
        """The paper's sheet: the input crop, and the networks' own drawings with valence downwards from + to -."""
        cells = _to_uint8(self.decode(encoded.z, affect_grid(axis)))
        return paper_sheet(encoded.crop, cells.reshape(len(axis), len(axis), *cells.shape[1:]))

    def _best_reconstruction(self, z: torch.Tensor, crop: np.ndarray) -> tuple[Affect, np.ndarray]:
        """The supported affect whose decode is nearest to the crop, and that decode."""
        candidates = affect_grid(grid_axis())
        supported = [point for point in candidates.tolist() if self.support.covers(*point)]
        candidates = supported or candidates.tolist()
        decoded = self.decode(z, candidates)
        weight = feather_mask(self.crop_size)[..., None]
        errors = (np.abs(decoded - crop / np.float32(255)) * weight).mean(axis=(1, 2, 3))
        best = int(errors.argmin())
        return Affect(*candidates[best]), decoded[best]


def select_faces(faces: list[Face], choice: str | int) -> list[Face]:
    """The faces that "largest", "all" or a number from 1 names. Raises NoFaceError, UsageError."""
    if not faces:
        raise NoFaceError("no face was found in the photo")
    if choice == "all":
        return faces
    number = 1 if choice == "largest" else choice
    try:
        number = int(number)
    except ValueError:
        number = 0
    if number < 1:
        raise UsageError(f"face must be largest, all, or a number from 1, not {choice}")
    if number > len(faces):
        raise NoFaceError(f"there is no face {number}: the photo has {len(faces)}")
    return [faces[number - 1]]


def difference(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What turns one decode into another, both (S, S, 3) float32 in [0, 1]: a warp, and the colour that it leaves.

    flow: (S, S, 2) float32, for each pixel of the target the xy step in pixels to its content in the source. colour:
    (S, S, 3) float32, the target less the warped source. As both decodes misdraw the face alike, their difference is
    nearly free of it (the ratio image of Liu, Shan and Zhang, SIGGRAPH 2001).
    """
    size = source.shape[0]
    # The generator's transposed convolutions leave a fine raster that is no part of the expression.
    source, target = (cv2.GaussianBlur(decoded, (0, 0), size * SMOOTHING) for decoded in (source, target))
    fine = (size * FLOW_SCALE, size * FLOW_SCALE)
    grey = [
        cv2.resize(cv2.cvtColor(_to_uint8(decoded), cv2.COLOR_RGB2GRAY), fine, interpolation=cv2.INTER_CUBIC)
        for decoded in (target, source)
    ]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    flow = cv2.resize(flow, (size, size), interpolation=cv2.INTER_AREA) / FLOW_SCALE
    # Flow is believed as far as it explains the change: where light and shade change alone, it invents motion.
    before, after = (_local_error(target, decoded) for decoded in (source, _warped(source, flow)))
    trust = np.clip(1 - after / np.maximum(before, 1e-6), 0, 1)
    flow = cv2.GaussianBlur(flow * trust[..., None], (0, 0), size * FLOW_SMOOTHING)
    return flow, target - _warped(source, flow)


def _warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    columns, rows = columns + flow[..., 0], rows + flow[..., 1]
    return cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _local_error(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """The mean absolute difference around each pixel, (S, S)."""
    return cv2.GaussianBlur(np.abs(wanted - got).mean(-1), (0, 0), len(wanted) * FLOW_SMOOTHING)


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(f"an image must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
    return image


def _to_uint8(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 255).clip(0, 255).astype(np.uint8)
