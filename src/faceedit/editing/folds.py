"""Folding the skin of a face as its expression changes: the shading that an edit adds beside what it moves."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional

from faceedit.circumplex import Affect
from faceedit.device import as_images
from faceedit.faces.blur import blur
from faceedit.models.editor import EDIT, Edit
from faceedit.models.folds import MIN_LIGHT, FoldNetwork, coarse, describe, detail, shown_to_network, skin, tint
from faceedit.models.sampling import warped
from faceedit.weights import load_model

FOLD_WEIGHTS = "folds"
DENSER = 3  # times as many pixels a side as the network has, in which a face's own folds fade


@dataclass(frozen=True)
class FoldSettings:
    """Numbers set by hand, all by eye."""

    near: float = 8 / 128  # standard deviation of a Gaussian, of the side, within which a face's own folds are compared
    sure: float = 4e-4  # of squared light: where skin shows less on average, it is taken to fold as others do
    max_own: float = 2.0  # times the average: what shows more is no fold
    # How much faster than the variety of faces a face's own folds fade, for each unit of valence that it loses: a smile
    # takes its folds along, of which averages over faces know little.
    relaxing: float = 12.0
    smooth: float = 2 / 128  # standard deviation of a Gaussian, of the side, that smooths where they do
    # Times how rough skin is around, see `Skin`: so much of a face's own detail never fades, finer and other: pores,
    # stubble, beards.
    pores: tuple[float, float] = (1.5, 2.5)
    beside_lips: float = 0.011  # of the side: how near to lips it does
    grey: float = 0.5  # of the light that comes back to folds has no colour, or the red of shadows would glow


FOLDS = FoldSettings()


@dataclass(frozen=True)
class Skin:
    """A face as its folds are known: images (1, 3, S, S) in [-1, 1], the crop; landmarks (1, K, 2); source (1, 2);
    softness, of the photo; folds (1, 1, S, S), which it shows, in units of light (see `models.folds`); spread
    (1, 1, S, S), the natural logarithm of how far such faces depart from the average; finer (1, 1, P, P) with
    P = DENSER S, those lines of its detail that are finer than S pixels show; and rough (1, 1, S, S), how much of such
    fine detail there is around each place on average, in units of light."""

    images: torch.Tensor
    landmarks: torch.Tensor
    source: torch.Tensor
    softness: float
    folds: torch.Tensor
    spread: torch.Tensor
    finer: torch.Tensor
    rough: torch.Tensor


class Folding:
    """Folds skin by the network that ships. Raises WeightsError."""

    def __init__(self, device: str = "cpu"):
        self._model = load_model(FOLD_WEIGHTS, FoldNetwork, device).to(memory_format=torch.channels_last)
        self._device = device

    @torch.inference_mode()
    def encode(self, crop: np.ndarray, landmarks: np.ndarray, source: Affect) -> Skin:
        """The skin of an aligned crop (C, C, 3) uint8 with landmarks (K, 2)."""
        size = self._model.config.image_size
        fine, crop = (cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for side in (DENSER * size, size))
        softness = blur(crop)
        images = as_images(crop[None], self._device)
        seen = detail(images)
        finer = detail(as_images(fine[None], self._device)) - _denser(seen)
        rough = coarse(functional.avg_pool2d(finer.abs(), DENSER), FOLDS.near)
        finer = _beyond(finer, FOLDS.pores[0] * _denser(rough))
        points = torch.from_numpy(landmarks[None]).float().to(self._device)
        affect = torch.tensor([source.pair], dtype=torch.float32, device=self._device)
        average, spread = self._shown(
            shown_to_network(images), points, torch.from_numpy(source.row[None]).to(self._device), softness
        )
        # How far this face shows, around each place, what others do there: folds that go were its own.
        own = coarse(seen * average, FOLDS.near) + FOLDS.sure
        own = (own / (coarse(average.square(), FOLDS.near) + FOLDS.sure)).clamp(0, FOLDS.max_own)
        return Skin(images, points, affect, softness, own * average, spread, finer, rough)

    @torch.inference_mode()
    def shading(self, skin_: Skin, edit: Edit, target: torch.Tensor) -> torch.Tensor:
        """What is to be added to a face that an edit has moved to the target (N, 2 + E), for its skin to fold,
        (N, 3, DENSER S, DENSER S), in units of images."""
        size, count = skin_.images.shape[-1], len(target)
        flow, colour = (
            functional.interpolate(x.float(), (size, size), mode="bicubic") for x in (edit.flow, edit.colour)
        )
        known = torch.cat([skin_.images, skin_.folds, skin_.spread, skin_.rough], dim=1)
        moved, folds, spread, rough = warped(known.expand(count, -1, -1, -1), flow).split([3, 1, 1, 1], dim=1)
        seen, shown = detail(moved), moved + colour
        own = seen - folds  # what is this face's alone: creases, moles, a beard
        average, departure = self._shown(shown_to_network(shown), edit.landmarks, target, skin_.softness)
        way = target[:, :2] - skin_.source
        amount = (way.norm(dim=1) / EDIT.free_length).clamp(max=1)[:, None, None, None]
        # Where faces differ less at the target, as beside a mouth that smiles no more, what is its own fades.
        relaxed = 1 + FOLDS.relaxing * (-way[:, :1, None, None]).clamp(min=0)
        kept = coarse(departure - spread, FOLDS.smooth).clamp(max=0).mul(relaxed).exp()
        fading = amount * skin(edit.landmarks, size, FOLDS.beside_lips) * (1 - kept)
        amount = amount * skin(edit.landmarks, size)
        change = amount * (average - folds) - fading * _beyond(own, FOLDS.pores[1] * rough)
        # A fold that goes takes its colour along: the share of what is seen around each place that goes.
        gone = coarse(-change * seen, FOLDS.near) / (coarse(seen.square(), FOLDS.near) + FOLDS.sure)
        change = change - amount * gone.clamp(0, 1) * tint(moved)
        light = coarse(shown) + 1 + 2 * MIN_LIGHT
        pale = torch.lerp(light, light.mean(1, keepdim=True), FOLDS.grey)
        finer = warped(skin_.finer.expand(count, -1, -1, -1), _denser(flow)) * _denser(fading)
        added = torch.where(change > 0, pale, light) * change.expm1()
        return _denser(added) + _denser(light + added) * (-finer).expm1()

    def _shown(
        self, seen: torch.Tensor, landmarks: torch.Tensor, target: torch.Tensor, softness: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The detail that such skin shows on average, and the logarithm of how far faces depart from it."""
        soft = torch.full((len(target),), softness, device=self._device)
        shown: tuple[torch.Tensor, torch.Tensor] = self._model(
            seen, landmarks, describe(target[:, :2], target[:, 2:], soft)
        )
        return shown


def _beyond(x: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """How far values lie beyond a limit, above or below."""
    return x - x.clamp(-limit, limit)


def _denser(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=DENSER, mode="bilinear")
