"""From an aligned crop and a target affect to an edit, by the paper's network: see `backends`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from faceedit.circumplex import Affect
from faceedit.device import in_batches
from faceedit.editing.backends import BATCH, FASTEST, FaceEdit, as_floats, as_image, face_edits, mouth_edits
from faceedit.models.caae import Caae
from faceedit.models.expression import AT_REST, as_complex, keep_openings, similarity_transform
from faceedit.models.face_mesh import POINTS
from faceedit.models.finish import finished_flow
from faceedit.models.landmark_flow import landmark_flow
from faceedit.models.landmarker import Landmarker, mirrored
from faceedit.models.lips import between_lips, kept_teeth, teeth_visibility
from faceedit.models.mouth import Mouth
from faceedit.models.palette import palette
from faceedit.models.sampling import indices, warped
from faceedit.pool import one_core
from faceedit.weights import load_model

GAIN = 1.35  # times the difference of two drawings, which are blurred, and whose faces are mean ones; by eye
NEAR = 0.04  # of the plane: nearer to the source an edit is less, and there nothing


@dataclass(frozen=True)
class CaaeFeatures:
    """Of one face: z (1, z_dim), its landmarks (1, K, 2), teeth (1,), see `lips.teeth_visibility`, and affect (1, 2);
    and what the networks draw of it at that affect, (1, 3, S, S) in [-1, 1], with that drawing's own landmarks."""

    z: torch.Tensor
    landmarks: torch.Tensor
    teeth: torch.Tensor
    source: torch.Tensor
    drawing: torch.Tensor
    drawn_landmarks: torch.Tensor


class CaaeBackend:
    """The paper's CAAE. It draws faces, so an edit is the difference of two drawings, at the target and at the source:
    landmarks of the photo move as theirs do, and its light changes as theirs. What both misdraw cancels (as in the
    ratio images of Liu, Shan and Zhang, SIGGRAPH 2001), and no pixel of a drawing gets into a photo."""

    def __init__(self, model: Caae, device: str):
        self.model, self.device = model.to(memory_format=FASTEST), device
        self.size = model.config.image_size
        self.landmarker = load_model("landmarks", Landmarker, device).to(memory_format=FASTEST)

    @one_core()
    def encode(
        self, crop: np.ndarray, fine: np.ndarray, source: Affect, landmarks: np.ndarray, still: Any = None
    ) -> CaaeFeatures:
        image, points = as_image(crop, self.device), as_floats(landmarks[None]).to(self.device)
        affect = as_floats([source.pair]).to(self.device)
        with torch.inference_mode():
            z = self.model.encoder(image)
            teeth = teeth_visibility(between_lips(image, points), palette(image))
            drawing = self.model.generator(z, affect)
            return CaaeFeatures(z, points, teeth, affect, drawing, self.landmarker(drawing))

    def edits(self, features: CaaeFeatures, targets: np.ndarray) -> Iterator[FaceEdit]:
        @one_core()
        def draw(affect: torch.Tensor) -> Iterator[FaceEdit]:
            affect = affect.to(self.device)
            drawings = self.model.generator(features.z.expand(len(affect), -1), affect)
            way = self._way(features, drawings)
            before, drawn = features.landmarks.expand_as(way), features.drawn_landmarks.expand_as(way)
            teeth, source, z = (x.expand(len(way), *x.shape[1:]) for x in (features.teeth, features.source, features.z))
            amount = ((affect - source).norm(dim=1)[:, None, None] / NEAR).clamp(max=1)
            after = torch.lerp(before, keep_openings(before, before + GAIN * way), amount)
            flow = self._flow(before, after, kept_teeth(before, teeth))
            drawn_flow = self._flow(drawn, drawn + way, torch.zeros_like(teeth))
            # Light alone, and no fine detail of it: colours differ by blotches.
            light = (drawings - warped(features.drawing.expand_as(drawings), drawn_flow)).mean(1, keepdim=True)
            light = amount[..., None] * functional.avg_pool2d(light, 8, stride=4, padding=2, count_include_pad=False)
            mouths = mouth_edits(before, after, teeth, source, affect, z)
            return face_edits(flow, GAIN * light.expand(-1, 3, -1, -1), mouths)

        for edits in in_batches(draw, as_floats(targets[:, :2]), BATCH):
            yield from edits

    def drawings(self, features: CaaeFeatures, targets: np.ndarray) -> np.ndarray:
        @one_core()
        def draw(affect: torch.Tensor) -> np.ndarray:
            images = self.model.generator(features.z.expand(len(affect), -1), affect.to(self.device))
            return ((images + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()

        return np.concatenate(list(in_batches(draw, as_floats(targets[:, :2]), BATCH)))

    @one_core()
    def network(self, crop: np.ndarray, source: Affect, target: Affect) -> None:
        anywhere = np.linspace(0.2, 0.8, len(POINTS))[:, None].repeat(2, axis=1)  # any landmarks take as long
        next(self.edits(self.encode(crop, crop, source, anywhere), target.row[None]))

    def _flow(self, before: torch.Tensor, after: torch.Tensor, teeth: torch.Tensor) -> torch.Tensor:
        """The flow (N, 2, S, S) that takes landmarks from before to after. teeth: (N,), see `lips.kept_teeth`."""
        everything = torch.ones_like(teeth)[:, None, None, None]
        flow = landmark_flow(before, after, self.size)
        return finished_flow(flow, Mouth(before, after, teeth, self.size), everything)

    def _way(self, features: CaaeFeatures, drawings: torch.Tensor) -> torch.Tensor:
        """How the landmarks of drawings (N, 3, S, S) lie away from those at the source, (N, K, 2), but for the head's
        pose. Both sides of the face move alike: in so small drawings, their difference is noise."""
        before, after = features.drawn_landmarks, self.landmarker(drawings)
        way = as_complex(after) * similarity_transform(after, before[0])[:, None] - as_complex(before)
        way = way - way[:, indices(AT_REST, way.device)].mean(1, keepdim=True)
        after = before + torch.view_as_real(way)
        return (after - before + mirrored(after) - mirrored(before)) / 2
