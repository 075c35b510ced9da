"""Inpainting the inside of a mouth into a photo whose face was edited. Images are (H, W, 3) uint8 RGB."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from faceedit.editing.compositing import touched
from faceedit.editing.tone import IN_COLOUR, Tone
from faceedit.faces.alignment import crop_face, kept_mask, scaled
from faceedit.faces.blur import blur
from faceedit.models.face_mesh import POINTS
from faceedit.models.mouth.inpainter import (
    LATENTS,
    MOUTH_KINDS,
    MouthInpainter,
    describe,
    mouth_mask,
    region,
    shown_to_network,
)
from faceedit.pool import one_core
from faceedit.weights import load_model

MOUTH_WEIGHTS = "mouth"
COLOUR_SIGMA = 1.0  # pixels, of a blur of colour, not of light: networks give teeth green and purple fringes; by eye
# The network's pixels, by eye: from so far around the opening on, so fine a detail is the photo's. Nearer, that is the
# line between closed lips.
RIM, OWN = 3.0, 1.5
# Pixels of the network: so much sharper than the photo it is asked to be, as it draws a little softer than it is asked;
# by eye.
SHARPER = 0.3


@dataclass(frozen=True)
class MouthEdit:
    """What is to be inpainted, in a mouth's region of an aligned crop, see `models.mouth.inpainter`.

    mask: (H, W) float32 in [0, 1]. landmarks: (K, 2), where they lie in the edited face. choice:
    (MOUTH_KINDS, LATENTS), which mouths of all that fit, see `inpainter.choose`; one person keeps them.
    """

    mask: np.ndarray
    landmarks: np.ndarray
    choice: np.ndarray

    def towards(self, other: "MouthEdit", share: float) -> "MouthEdit":
        """One between this and the other, at a share of the way."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return MouthEdit(*(mine + np.float32(share) * (its - mine) for mine, its in pairs))

    def of_same(self, other: "MouthEdit") -> "MouthEdit":
        """This edit with the mouths of the same person that the other chose."""
        return replace(self, choice=self.choice.sum(1, keepdims=True) * other.choice.sum(0))

    def faded(self, strength: float) -> "MouthEdit":
        """The same, as far as an edit is seen."""
        return replace(self, mask=self.mask * np.float32(strength))


class MouthInpainting:
    """Inpaints mouths by the network that ships. Raises WeightsError."""

    def __init__(self, device: str = "cpu"):
        self._model = load_model(MOUTH_WEIGHTS, MouthInpainter, device).to(memory_format=torch.channels_last)
        self._device, self.size = device, self._model.config.image_size

    def softness(self, image: np.ndarray, matrix: np.ndarray, side: int) -> float:
        """How soft a face is in its photo, see `inpainter.describe`; matrix: (2, 3), to a crop of this side."""
        return blur(crop_face(image, scaled(matrix, self.size / side), self.size))

    def inpaint(
        self,
        image: np.ndarray,
        matrix: np.ndarray,
        side: int,
        mouth: MouthEdit,
        softness: float,
        tone: Tone = IN_COLOUR,
    ) -> np.ndarray:
        """The image with the inside of a face's mouth inpainted, in place, where the mask says so.

        matrix: (2, 3), photo pixels to those of a crop of this side. softness: see there. tone: of the photo.
        """
        if not mouth.mask.any():
            return image
        rows, columns = region(self.size)
        matrix = scaled(matrix, self.size / side) - np.array([[0, 0, columns.start], [0, 0, rows.start]])
        high, wide = mouth.mask.shape
        inpainted = self._inpainted(crop_face(image, matrix, wide, high - wide), mouth, softness)
        window = _window(matrix, mouth.mask > 0, image.shape)
        if window is None:
            return image
        x0, y0, x1, y1 = window
        to_window = matrix.copy()
        to_window[:, 2] += matrix[:, :2] @ (x0, y0)

        def warp(field: np.ndarray, method: int) -> np.ndarray:
            flags = method | cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(field, to_window, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)

        seen = mouth.mask * kept_mask(self.size)[rows, columns]
        share = warp(seen, cv2.INTER_LINEAR)[..., None]
        laid, under = warp(tone.take(inpainted), cv2.INTER_CUBIC), image[y0:y1, x0:x1]
        scale = 1 / float(np.linalg.norm(matrix[:, 0]))  # pixels of the photo in one of the network's
        opening = mouth_mask(torch.from_numpy(mouth.landmarks[None]).float(), self.size, RIM)[0, 0].numpy()
        around = seen * (1 - opening)
        if around.any():  # there, colours are the network's, hair and pores the photo's
            own = under - laid
            own -= cv2.GaussianBlur(own, (0, 0), OWN * scale)
            laid += warp((around > 0) * (1 - opening), cv2.INTER_LINEAR)[..., None] * own
        under[:] = np.rint(under + (laid - under) * share).clip(0, 255)
        return image

    def network(self) -> None:
        """One pass of the network alone: what there is to time."""
        rows, columns = region(self.size)
        shape = rows.stop - rows.start, columns.stop - columns.start
        others = (np.zeros(some, np.float32) for some in ((len(POINTS), 2), (MOUTH_KINDS, LATENTS)))
        self._inpainted(np.zeros((*shape, 3), np.uint8), MouthEdit(np.ones(shape, np.float32), *others), 1.0)

    @one_core()
    @torch.inference_mode()
    def _inpainted(self, crop: np.ndarray, mouth: MouthEdit, softness: float) -> np.ndarray:
        """The region (H, W, 3) float32, of 255, with what is hidden inpainted, and as it was elsewhere."""
        images = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 127.5 - 1
        mask, landmarks, choice = (torch.from_numpy(x)[None].float() for x in vars(mouth).values())
        condition = describe(torch.tensor([softness - SHARPER]), landmarks)
        images = shown_to_network(images, mask[:, None], landmarks)
        images, mask, condition, choice = (x.to(self._device) for x in (images, mask[:, None], condition, choice))
        inpainted = self._model(images, mask, condition, self._model.latent(choice))
        pixels = (inpainted[0].clamp(-1, 1).permute(1, 2, 0).cpu().numpy() + 1) * 127.5
        hidden = mouth.mask[..., None] > 0
        colours = cv2.cvtColor(np.where(hidden, pixels, crop).astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb)
        colours[..., 1:] = cv2.GaussianBlur(colours[..., 1:], (0, 0), COLOUR_SIGMA)
        return np.where(hidden, cv2.cvtColor(colours, cv2.COLOR_YCrCb2RGB) * 255, crop).astype(np.float32)


def _window(matrix: np.ndarray, hidden: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The part of the photo (x0, y0, x1, y1) that the hidden part (H, W) touches, or None."""
    y, x = (np.flatnonzero(hidden.any(axis)) for axis in (1, 0))
    corners = np.array([(i, j) for i in (x[0] - 1, x[-1] + 1) for j in (y[0] - 1, y[-1] + 1)], float)
    return touched(corners, cv2.invertAffineTransform(matrix), shape)
