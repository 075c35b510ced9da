"""From an aligned crop and a target affect to an edit, by the editor's own networks, and what all kinds share.

An edit has three parts. `flow` (S, S, 2) float32 is the xy deformation in pixels from each pixel of the crop to where
its content comes from. `residual` (P, P, 3) float32 is the colour that is then added, in units of 255.
`compositing.apply_edit` takes both. `mouth`, if any, is what `mouth.MouthInpainting` inpaints then. Crops are (S, S, 3)
uint8 RGB, targets (N, 2 + E), see `circumplex.Affect.row`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch.nn import functional

from faceedit.circumplex import CLASS_MEANS, Affect, Point
from faceedit.device import as_images, in_batches
from faceedit.editing.folds import Folding, Skin
from faceedit.editing.mouth import MouthEdit
from faceedit.models.editor import Edit, FaceFeatures, WarpEditor
from faceedit.models.folds import irises
from faceedit.models.landmarker import mirrored
from faceedit.models.lips import kept_teeth, lip_opening
from faceedit.models.mouth.inpainter import LATENTS, choose, edit_mask
from faceedit.pool import one_core

BATCH = 16  # targets decoded at a time, where memory suffices
FASTEST = torch.channels_last  # order in memory: the warping editor takes four fifths of the time, the paper's no more


class FaceEdit(NamedTuple):
    """An edit of one face: see the top of this module."""

    flow: np.ndarray
    residual: np.ndarray
    mouth: MouthEdit | None = None

    def towards(self, other: "FaceEdit", share: float) -> "FaceEdit":
        """One between this and another of the same kind, at a share of the way."""
        flow, residual = (
            mine + np.float32(share) * (its - mine) for mine, its in zip(self[:2], other[:2], strict=True)
        )
        mouth = self.mouth and other.mouth and self.mouth.towards(other.mouth, share)
        return FaceEdit(flow, residual, mouth)

    def faded(self, strength: float) -> "FaceEdit":
        """A share of the edit."""
        flow, residual = (field * np.float32(strength) for field in self[:2])
        return FaceEdit(flow, residual, self.mouth and self.mouth.faded(strength))

    def within(self, mask: np.ndarray, mouth: bool) -> "FaceEdit":
        """The edit where a mask (N, N) float32 of the crop lets it be. mouth: with what is to be painted in it."""
        flow, residual = (
            field * cv2.resize(mask, field.shape[1::-1], interpolation=cv2.INTER_AREA)[..., None] for field in self[:2]
        )
        return FaceEdit(flow, residual, self.mouth if mouth else None)


class Backend(Protocol):
    """What FaceEditor needs of a kind of networks.

    size: the side of its crops in pixels.
    """

    size: int

    def encode(
        self, crop: np.ndarray, fine: np.ndarray, source: Affect, landmarks: np.ndarray, still: Any = None
    ) -> Any:
        """The features of a face that shows the source affect, to decode targets from; opaque to the caller.

        fine: the same crop, FINER times as large. landmarks: (K, 2), in shares of the crop's side. still: the features
        of the same face a moment ago, for the same target, from which it hardly moved.
        """

    def edits(self, features: Any, targets: np.ndarray) -> Iterator[FaceEdit]:
        """The edit to each target."""

    def drawings(self, features: Any, targets: np.ndarray) -> np.ndarray | None:
        """The networks' own crops of the face at each target, (N, S, S, 3) uint8; None where they draw edits alone."""

    def network(self, crop: np.ndarray, source: Affect, target: Affect) -> None:
        """What the networks do from a crop to the edit for one target, once, to be timed."""


@dataclass(frozen=True)
class WarpFeatures:
    """face: the encoder's features of it and of its mirror image. source: (1, 2), its affect. skin: its folds.
    shading: what is added to it to fold it, kept from the last edit in a film; is_still: the face hardly moved since,
    and that will do again."""

    face: FaceFeatures
    source: torch.Tensor
    skin: Skin
    shading: list[torch.Tensor] = field(default_factory=list)
    is_still: bool = False


class WarpBackend:
    """The editor's own networks, which draw the edit."""

    def __init__(self, model: WarpEditor, device: str):
        self.model, self.device = model.to(memory_format=FASTEST), device
        self.size = model.config.image_size
        self.folding = Folding(device)

    @one_core()
    def encode(
        self, crop: np.ndarray, fine: np.ndarray, source: Affect, landmarks: np.ndarray, still: Any = None
    ) -> WarpFeatures:
        images, points = as_image(crop, self.device), as_floats(landmarks[None]).to(self.device)
        both = torch.cat([images, images.flip(3)]), torch.cat([points, mirrored(points)])
        with torch.inference_mode():
            face = self.model.encoder(*both)
        affect = as_floats([source.pair]).to(self.device)
        if still is not None:
            return WarpFeatures(face, affect, still.skin, still.shading, is_still=True)
        return WarpFeatures(face, affect, self.folding.encode(fine, landmarks, source))

    def edits(self, features: WarpFeatures, targets: np.ndarray) -> Iterator[FaceEdit]:
        @one_core()
        def draw(affect: torch.Tensor) -> Iterator[FaceEdit]:
            edit, folds, mouths = self._decoded(features, affect)
            light = functional.interpolate(edit.colour.float(), folds.shape[2:], mode="bicubic")
            residual = light * (1 - irises(edit.landmarks, folds.shape[-1])) + folds  # it would make dark eyes milky
            return face_edits(edit.flow, residual, mouths)

        for edits in in_batches(draw, _rows(targets), BATCH):
            yield from edits

    def drawings(self, features: WarpFeatures, targets: np.ndarray) -> None:
        return None

    @one_core()
    def network(self, crop: np.ndarray, source: Affect, target: Affect) -> None:
        landmarks = self.model.decoder.motion.mean.cpu().numpy()  # any take as long
        features = self.encode(crop, crop, source, landmarks)
        with torch.inference_mode():
            edit, folds, _ = self._decoded(features, as_floats(target.row[None]))
            for field in (*edit, folds):
                field.cpu()

    def _decoded(self, features: WarpFeatures, targets: torch.Tensor) -> tuple[Edit, torch.Tensor, Iterator[MouthEdit]]:
        """What the decoder draws at each target (N, 2 + E), what folds the skin, see `Folding.shading`, and what is to
        be inpainted in the mouth."""
        both, source = features.face.expand(len(targets)), features.source.expand(len(targets), -1)
        targets = targets.to(self.device)
        affect, face = targets[:, :2], both.half()
        target = targets[:, : self.model.config.target_dim]
        edit = self.model.decoder(both, source, target, finished=True, mirrored=True)
        # Light alone, (N, 1, S/4, S/4): colours please the teacher as red blotches between nose and lips and on cheeks.
        edit = edit._replace(colour=edit.colour.mean(1, keepdim=True))
        if not (features.is_still and features.shading):
            features.shading[:] = [self.folding.shading(features.skin, edit, targets)]
        (folds,) = features.shading
        mouths = mouth_edits(face.landmarks, edit.landmarks, face.teeth_visibility, source, affect, face.z)
        return edit, folds, mouths


def face_edits(flow: torch.Tensor, residual: torch.Tensor, mouths: Iterator[MouthEdit]) -> Iterator[FaceEdit]:
    """Edits with a flow (N, 2, S, S), in units of half the side, and a residual (N, 3, P, P), in those of images."""
    fields = flow * (flow.shape[-1] / 2), residual / 2
    flows, residuals = (field.permute(0, 2, 3, 1).float().cpu().numpy() for field in fields)
    return map(FaceEdit, flows, residuals, mouths)


def mouth_edits(
    before: torch.Tensor,
    after: torch.Tensor,
    teeth: torch.Tensor,
    source: torch.Tensor,
    affect: torch.Tensor,
    z: torch.Tensor,
) -> Iterator[MouthEdit]:
    """What is to be inpainted in mouths, of arguments as `edit_mask` takes them and the latents (N, z_dim) of faces."""
    mask = edit_mask(before, after, teeth, source, affect)
    person = z.float() @ _mouth_projection(z.shape[1], str(z.device))
    choice = choose(person, affect[:, 0], lip_opening(after), kept_teeth(before, teeth))
    return map(MouthEdit, *(x.float().cpu().numpy() for x in (mask, after, choice)))


@cache
def _mouth_projection(z_dim: int, device: str) -> torch.Tensor:
    """The matrix (z_dim, LATENTS) from a face's latent, about uniform in (-1, 1), to numbers about standard normal.

    Faces that are nearly the same get nearly the same teeth."""
    directions = torch.randn(z_dim, LATENTS, generator=torch.Generator().manual_seed(0))
    return (directions * (3 / z_dim) ** 0.5).to(device)


def as_image(crop: np.ndarray, device: str) -> torch.Tensor:
    """(1, 3, S, S) in [-1, 1]."""
    return as_images(crop[None], device).contiguous(memory_format=FASTEST)


def _rows(targets: np.ndarray) -> torch.Tensor:
    """Targets (N, 2), which mean any expression, or (N, 2 + E), as the latter."""
    return functional.pad(as_floats(targets), (0, 2 + len(CLASS_MEANS) - targets.shape[1]))


def as_floats(values: np.ndarray | list[Point]) -> torch.Tensor:
    """The values as float32, on the CPU."""
    return torch.from_numpy(np.asarray(values, np.float32))
