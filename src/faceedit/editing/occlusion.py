"""Leaving what lies before a face, such as glasses, hands and masks, where it is."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from faceedit.config import MouthConfig
from faceedit.device import as_images
from faceedit.editing.backends import FaceEdit
from faceedit.editing.parts import part_mask
from faceedit.faces.eyelids import Eye
from faceedit.models.face_mesh import LIPS, point_indices
from faceedit.models.mouth.inpainter import region
from faceedit.models.occlusion import OcclusionNetwork
from faceedit.pool import one_core
from faceedit.weights import load_model

OCCLUSION_WEIGHTS = "occlusion"
# Probabilities: a region of pixels above the first is no part of the face where one of it is above the second (the
# hysteresis of Canny 1986), and it is larger than a speck, of a crop's area. By eye.
MAYBE, SURE, SPECK = 0.1, 0.9, 5e-4
EDGE = 0.01  # of the side around an occluder that stays with it: its blurred edge, by eye
CLOSER = 0.75  # of the way to an occluder, the furthest that skin beside it moves; below 1, so that nothing doubles
SOFT = 0.02  # of the side, over which colour comes, by eye
COVERED = 0.2  # of the lips' area, from which a mouth stays as it is, by eye
AROUND = 1.3  # radii of the iris, within which an eye must be free to be drawn, by eye


@dataclass(frozen=True)
class Occluders:
    """What lies before a face. distance: (N, N) float32, from each pixel of the crop to it, in shares of the side."""

    distance: np.ndarray
    landmarks: np.ndarray

    @property
    def covers_mouth(self) -> bool:
        lips = np.zeros(self.distance.shape, np.uint8)
        outline = self.landmarks[point_indices(LIPS)] * len(lips) - 0.5
        cv2.fillConvexPoly(lips, cv2.convexHull(np.rint(outline).astype(np.int32)), 1)
        return bool((self.distance[lips > 0] == 0).mean() > COVERED) if lips.any() else True

    def spare(self, edit: FaceEdit) -> FaceEdit:
        """An edit that leaves them where they are, and what is beside them almost."""
        flow = edit.flow
        size = flow.shape[0]
        distance = cv2.resize(self.distance, (size, size), interpolation=cv2.INTER_LINEAR)[..., None] * size
        limit = CLOSER * (distance - EDGE * size).clip(0)
        length = np.linalg.norm(flow, axis=-1, keepdims=True)
        flow = flow * (limit / np.maximum(length, 1e-6)).clip(0, 1).astype(np.float32)
        free = ((self.distance - EDGE) / SOFT).clip(0, 1)
        fine = edit.residual.shape[1::-1]
        residual = edit.residual * cv2.resize(free, fine, interpolation=cv2.INTER_LINEAR)[..., None]
        if not self.covers_mouth:
            return FaceEdit(flow, residual, edit.mouth and replace(edit.mouth, mask=edit.mouth.mask * _mouth(free)))
        elsewhere = 1 - part_mask(self.landmarks, ("mouth",), len(free))
        return FaceEdit(flow, residual).within(elsewhere, mouth=False)

    def uncovered(self, eyes: tuple[Eye, ...]) -> tuple[Eye, ...]:
        """The eyes, without trust in those that lie behind something."""
        return tuple(eye if self._is_free(eye) else replace(eye, trust=0.0) for eye in eyes)

    def _is_free(self, eye: Eye) -> bool:
        size = len(self.distance)
        x, y = np.rint(eye.iris * size - 0.5).astype(int).clip(0, size - 1)
        return bool(self.distance[y, x] > AROUND * eye.radius)


class OcclusionFinder:
    """Finds what lies before faces by the network that ships. Raises WeightsError."""

    def __init__(self, device: str = "cpu"):
        self._model = load_model(OCCLUSION_WEIGHTS, OcclusionNetwork, device).to(memory_format=torch.channels_last)
        self._device = device

    @one_core()
    @torch.inference_mode()
    def find(self, crop: np.ndarray, landmarks: np.ndarray) -> Occluders | None:
        """What lies before the face of an aligned crop (C, C, 3) uint8 with landmarks (K, 2); None for nothing."""
        size = self._model.config.image_size
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        hidden = _regions(self._model(as_images(crop[None], self._device)).sigmoid()[0, 0].cpu().numpy())
        if not hidden.any():
            return None
        distance = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return Occluders(distance / np.float32(size), landmarks)


def _regions(probability: np.ndarray) -> np.ndarray:
    """The pixels (N, N) bool of what lies before a face."""
    count, regions = cv2.connectedComponents((probability > MAYBE).astype(np.uint8))
    sure = np.isin(np.arange(count), regions[probability > SURE])
    sure &= np.bincount(regions.ravel(), minlength=count) > SPECK * regions.size
    sure[0] = False  # all the rest
    hidden: np.ndarray = sure[regions]
    return hidden


def _mouth(free: np.ndarray) -> np.ndarray:
    """A field (N, N) of the crop in the region of the mouth inpainter."""
    size = MouthConfig().image_size
    rows, columns = region(size)
    return cv2.resize(free, (size, size), interpolation=cv2.INTER_LINEAR)[rows, columns]
