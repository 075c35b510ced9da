"""AffectEstimator: photo → faces → where each lies on the circumplex, and how likely each expression is."""

from dataclasses import dataclass

import numpy as np
import torch

from faceedit.circumplex import Affect
from faceedit.config import JUDGE_WEIGHTS
from faceedit.device import as_images, in_batches, resolve_device
from faceedit.faces.alignment import alignment, crop_face
from faceedit.faces.detector import Face, checked
from faceedit.models.estimator import CROP_SIZE, EXPRESSIONS
from faceedit.pool import one_core
from faceedit.weights import Weights, load_weights

BATCH = 32


@dataclass(frozen=True)
class FaceEstimate:
    """How a face looks: its affect, and the probability of each expression by name. Not what the person feels."""

    face: Face
    affect: Affect
    probabilities: dict[str, float]


class AffectEstimator:
    """Estimates how faces in photos look. Images are (H, W, 3) uint8 RGB."""

    def __init__(self, weights: Weights, device: str = "cpu"):
        self.weights = weights
        self.model = weights.model.to(memory_format=torch.channels_last)  # faster on CPUs
        self.device = device

    @classmethod
    def from_pretrained(cls, weights: str = JUDGE_WEIGHTS, device: str = "auto") -> "AffectEstimator":
        """An estimator with published weights by name or path, on auto, cpu, cuda or mps. Raises WeightsError."""
        device = resolve_device(device)
        return cls(load_weights(weights, device, ("estimator",)), device)

    @one_core()
    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[FaceEstimate]:
        """An estimate for each face of an image, in their order. Raises UsageError for other arrays."""
        if not faces:
            return []
        checked(image)
        affect, probabilities = self.estimate_crops(
            np.stack([crop_face(image, alignment(face.landmarks, CROP_SIZE), CROP_SIZE) for face in faces])
        )
        return [
            FaceEstimate(face, Affect(*point), dict(zip(EXPRESSIONS, row, strict=True)))
            for face, point, row in zip(faces, affect.clip(-1, 1).tolist(), probabilities.tolist(), strict=True)
        ]

    def estimate_crops(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """affect (N, 2), not clipped, and expression probabilities (N, 8) of aligned crops (N, S, S, 3) uint8."""

        def estimate(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            affect, logits = self.model(as_images(batch, self.device))
            return affect.cpu(), logits.softmax(1).cpu()

        affect, probabilities = zip(*in_batches(estimate, torch.from_numpy(crops), BATCH), strict=True)
        return torch.cat(affect).numpy(), torch.cat(probabilities).numpy()
